"""Tokens of users for the hub's API: created, listed and revoked through the running hub."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.host.interface import Host
from tljh.hub.api_client import HubApi, NewToken, StoredToken, TokenOrder
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.user_passwords import connect_to_hub
from tljh.settings.value_types import Duration

if TYPE_CHECKING:
    from tljh.settings.root import Config

LONGEST_S = 10 * 366 * 86_400
DEFAULT_DAYS = 90
DAY_S = 86_400


def read_config(host: Host, paths: Paths) -> Config:
    """Return the configuration of the installed hub. Raises TljhError if there is none."""
    return load_configuration(host, paths, read_installed_configuration(host, paths))


def open_api(host: Host, paths: Paths) -> HubApi:
    """Return the API of the installed hub. Raises TljhError if there is none."""
    return connect_to_hub(host, paths, read_config(host, paths))


def create_token(api: HubApi, name: str, order: TokenOrder) -> NewToken:
    """Make a token of a user. Raises TljhError for an unknown user or a scope that it lacks."""
    return api.create_token(find_name(api, name), order)


def list_tokens(api: HubApi, name: str | None) -> list[StoredToken]:
    """Return the tokens of a user; of all users, without a name."""
    names = [find_name(api, name)] if name else _list_names(api)
    return [token for each in names for token in api.list_tokens(each)]


def revoke_token(api: HubApi, name: str, token_id: str) -> StoredToken:
    """Revoke a token. Raises TljhError if the user has none with this id."""
    name = find_name(api, name)
    tokens = api.list_tokens(name)
    for token in tokens:
        if token.id == token_id:
            api.revoke_token(name, token_id)
            return token
    ids = ", ".join(token.id for token in tokens)
    raise TljhError(
        f"{name} has no token {token_id}",
        fix=f"one of: {ids}" if ids else "list all: sudo tljh token list",
    )


def find_name(api: HubApi, name: str) -> str:
    """Return the name by which the hub knows a user. Raises TljhError if it does not."""
    names = _list_names(api)
    for each in (name, name.lower()):
        if each in names:
            return each
    near = get_close_matches(name, names, 1)
    raise TljhError(
        f"the hub has no user {name}",
        fix=f"did you mean {near[0]}?" if near else "list all: sudo tljh user list",
    )


def _list_names(api: HubApi) -> list[str]:
    users = api.users()
    if users is None:
        raise TljhError(
            "the hub does not answer, and only it makes and knows tokens",
            fix="sudo tljh status",
        )
    return [user.name for user in users]


def parse_scopes(text: str) -> tuple[str, ...]:
    """Return the scopes of a list with commas or spaces."""
    return tuple(text.replace(",", " ").split())


def choose_validity(config: Config, text: str) -> int:
    """Return the seconds of `--expires`; without it 90 days, or the setting's maximum.

    Raises TljhError for more than that maximum, which the hub would refuse.
    """
    most_days = config.auth.token_days
    if not text:
        return round(min(DEFAULT_DAYS, most_days or DEFAULT_DAYS) * DAY_S)
    seconds = parse_validity(text)
    if most_days and seconds > most_days * DAY_S:
        raise TljhError(
            f"--expires {text} is longer than tokens may be valid",
            why=f"auth.token_days is {most_days:g}",
            fix=f"--expires {round(most_days * DAY_S)}, or less; or set auth.token_days higher",
            exit_code=Exit.USAGE,
        )
    return seconds


def parse_validity(text: str) -> int:
    """Return the seconds of a duration such as 30d. Raises TljhError for anything else."""
    seconds = Duration(1).read(text)
    if isinstance(seconds, str) and seconds.isdigit():
        seconds = int(seconds)
    if not isinstance(seconds, int) or not 1 <= seconds <= LONGEST_S:
        raise TljhError(
            f"--expires does not take {text!r}",
            fix="write 12h, 30d or 52w; ten years at most",
            exit_code=Exit.USAGE,
        )
    return seconds
