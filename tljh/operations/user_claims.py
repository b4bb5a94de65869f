"""New claim links for users who have no password yet."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from tljh.base import interruptions
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.interface import Host
from tljh.hub.user_directory import read_user_directory
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.public_address import format_claim_link
from tljh.operations.user_notes import make_no_pages_error
from tljh.settings.derived import serves_login_page, uses_claims
from tljh.users.claims import Claim, claim_file, make_claim
from tljh.users.facts import find_logins_with_password

if TYPE_CHECKING:
    from tljh.settings.root import Config


def renew_claim(host: Host, paths: Paths, login: str) -> tuple[Claim, str]:
    """Make a new claim and return it with its link; older links of the user become invalid.

    Raises TljhError for a user who may not log in or has a password, and if the authenticator
    has no claims.
    """
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    _refuse_without_need(
        host, paths, login, config, login in find_logins_with_password(config, paths)
    )
    claim = make_claim(login)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S), interruptions.held_back():
        host.write(claim_file(paths.claims_dir, login), claim.as_bytes(), mode=0o600)
        interruptions.keep_change()
    return claim, format_claim_link(config, host, claim)


def _refuse_without_need(
    host: Host, paths: Paths, login: str, config: Config, has_password: bool
) -> None:
    if not serves_login_page(config):
        raise make_no_pages_error(config, login)
    if not uses_claims(config):
        raise TljhError(
            f"there are no claim links while auth.type is {config.auth.type}",
            why="this authenticator keeps no passwords on this machine",
            fix=f"{login} logs in as {config.auth.type} requires",
        )
    directory = read_user_directory(host, config, paths)
    user = directory.users.get(login)
    if directory.hub_answers and (user is None or user.access in ("none", "banned")):
        raise TljhError(
            f"{login} is not a user who may log in",
            why="the name is in no list and not in the hub" if user is None else None,
            fix=f"sudo tljh user add {quote(login)}",
        )
    if has_password:
        raise TljhError(
            f"{login} has a password already",
            why="a claim link only sets the first one",
            fix=f"log in with it; if it is forgotten: sudo tljh user reset-password {quote(login)}",
        )
