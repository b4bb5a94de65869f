"""Notes for an admin who adds or removes users: which other rules and passwords still count."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.password_store import read_native_sign_ups
from tljh.settings.derived import uses_first_use, uses_native
from tljh.settings.login_providers import provider_of
from tljh.users.facts import logins_with_password

if TYPE_CHECKING:
    from tljh.settings.root import Config


def notes_on_sign_ups(
    config: Config, paths: Paths, names: Iterable[str], *, is_admin: bool
) -> tuple[str, ...]:
    """Return a note for each name that signed up before it was listed: whether that counts."""
    if not uses_native(config):
        return ()
    authorized = logins_with_password(config, paths)
    waiting = set(read_native_sign_ups(paths.hub_database)) - authorized
    consequence = (
        "only the claim link sets the password"
        if is_admin
        else "the password of that sign-up counts from now on; if another person signed up: "
        "sudo tljh user reset-password {name}"
    )
    return tuple(
        f"note: {name} signed up before an admin authorized the name: "
        + consequence.format(name=name)
        for name in map(str.lower, names)
        if name in waiting
    )


def notes_on_adding(before: Config, after: Config) -> tuple[str, ...]:
    """Return a note if the first name in users.allowed ends the access of all others."""
    provider = provider_of(after.auth.type)
    if provider is None or provider.admits != "all" or after.auth.allow_all is not None:
        return ()
    if "allowed" in before.users.model_fields_set or not after.users.allowed:
        return ()
    return ("note: until now every user could log in; from now on only those in users.allowed",)


def notes_on_removing(config: Config) -> tuple[str, ...]:
    """Return notes on rules by which removed users may still log in, and on a missing admin."""
    notes = []
    provider = provider_of(config.auth.type)
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
    """Return whether an authenticator with its own list adds every visitor to it."""
    if uses_first_use(config):
        return config.auth.allow_all is True
    traits = {**config.auth.classes, **config.traitlets}.get("NativeAuthenticator", {})
    return uses_native(config) and traits.get("open_signup") is True
