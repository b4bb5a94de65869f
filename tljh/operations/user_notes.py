"""Notes for an admin who adds or removes users: which other rules and passwords still count."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from shlex import quote
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.host.password_store import read_native_sign_ups
from tljh.settings.derived import serves_login_page, uses_claims, uses_first_use, uses_native
from tljh.settings.login_providers import find_provider
from tljh.users.claims import claim_file
from tljh.users.facts import find_logins_with_password

if TYPE_CHECKING:
    from tljh.operations.user_changes import HubUsers
    from tljh.settings.root import Config


# How users act on a hub without pages; takes the quoted name.
API_FIX = "the API of the hub takes a token: sudo tljh token create {} --scopes SCOPES"


def make_no_pages_error(config: Config, name: str) -> TljhError:
    """Return the error for a claim link while the proxy leads to no page of the hub."""
    return TljhError(
        f"there are no claim links while hub.mode is {config.hub.mode}",
        why="a claim link is a page of the hub, and the proxy serves none",
        fix=API_FIX.format(quote(name)),
    )


def warn_of_sign_ups(
    config: Config, paths: Paths, names: Iterable[str], *, is_admin: bool
) -> tuple[str, ...]:
    """Return a note for each name that has a sign-up from before it was listed.

    The note says whether the password of that sign-up counts.
    """
    if not uses_native(config):
        return ()
    authorized = find_logins_with_password(config, paths)
    waiting = set(read_native_sign_ups(paths)) - authorized
    consequence = (
        "only the claim link sets the password"
        if is_admin
        else "the password of that sign-up counts from now on; if another person signed up: "
        "sudo tljh user reset-password {quoted}"
    )
    return tuple(
        f"note: {name} signed up before an admin authorized the name: "
        + consequence.format(quoted=quote(name))
        for name in map(str.lower, names)
        if name in waiting
    )


def find_without_password(users: HubUsers, names: Iterable[str]) -> list[str]:
    """Return the login names, in lower case, for which the authenticator keeps no password yet."""
    existing = find_logins_with_password(users.config, users.paths)
    return [login for login in dict.fromkeys(map(str.lower, names)) if login not in existing]


def warn_without_password(
    users: HubUsers, logins: Iterable[str], *, is_class: bool = False
) -> tuple[str, ...]:
    """Return a note on names without a password: the first visitor would own them.

    `logins` are names without a password. Those with a claim link are safe.
    """
    open_names = [
        login for login in logins if not users.host.info(claim_file(users.paths.claims_dir, login))
    ]
    if not open_names or not uses_claims(users.config):
        return ()
    act = "signs up" if uses_native(users.config) else "logs in"
    verb = "has" if len(open_names) == 1 else "have"
    way = f"user claim {shlex.quote(open_names[0])}"
    if is_class:
        option = "--claim-links" if uses_native(users.config) else "--generate (or --claim-links)"
        way = f"user import FILE.csv {option}"
    count = format_count(len(open_names), "user")
    return (
        f"note: {count} {verb} no password yet: the first visitor who {act} under the name "
        f"chooses it; to prevent it: sudo tljh {way}",
    )


def warn_on_adding(before: Config, after: Config) -> tuple[str, ...]:
    """Return notes on a hub without a login page, and on a first name in users.allowed.

    That name ends the access of all other users.
    """
    if not serves_login_page(after):
        reason = f"hub.mode is {after.hub.mode}: no user logs in by a page"
        return (f"note: {reason}; {API_FIX.format('NAME')}",)
    provider = find_provider(after.auth.type)
    if provider is None or provider.admits != "all" or after.auth.allow_all is not None:
        return ()
    if "allowed" in before.users.model_fields_set or not after.users.allowed:
        return ()
    return ("note: until now every user could log in; from now on only those in users.allowed",)


def warn_on_removing(config: Config) -> tuple[str, ...]:
    """Return notes if removed users may still log in by a rule, or if no admin is left."""
    notes = []
    provider = find_provider(config.auth.type)
    has_own_list = provider is not None and provider.admits == "own"
    if has_own_list and _accepts_any_name(config):
        notes.append(
            "note: any visitor may log in under a name of their choice, removed users too; "
            "to prevent it: sudo tljh user disable NAME"
        )
    elif not has_own_list and config.auth.allow_all is not False:
        notes.append(
            f"note: rules of {config.auth.type} other than the lists may still allow them; "
            "to prevent it: sudo tljh user disable NAME"
        )
    if not config.users.admin:
        notes.append("note: there is no admin now: sudo tljh user add --admin NAME")
    return tuple(notes)


def _accepts_any_name(config: Config) -> bool:
    """Return whether any visitor gets access by choosing a name and a password.

    That is auth.allow_all with first use, and open_signup with NativeAuthenticator.
    """
    if uses_first_use(config):
        return config.auth.allow_all is True
    traits = {**config.auth.classes, **config.traitlets}.get("NativeAuthenticator", {})
    return uses_native(config) and traits.get("open_signup") is True
