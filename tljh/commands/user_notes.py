"""What whoever adds or removes people is told besides: who else may come, and by which password."""

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
    """Whether a password counts that somebody signed up with before the name was listed."""
    if not uses_native(config):
        return ()
    counts = logins_with_password(config, paths)
    waiting = set(read_native_sign_ups(paths.state_dir / "jupyterhub.sqlite")) - counts
    what = (
        "the link alone sets the password"
        if is_admin
        else "that password counts from now on; if it is somebody else's: "
        "sudo tljh user reset-password {name}"
    )
    return tuple(
        f"note: somebody signed up as {name} whom nobody had authorized: {what.format(name=name)}"
        for name in map(str.lower, names)
        if name in waiting
    )


def notes_on_adding(before: Config, after: Config) -> tuple[str, ...]:
    """What the first name in a list means where everybody could come until then."""
    provider = provider_of(after.auth.type)
    if provider is None or provider.lets_in != "all" or after.auth.allow_all is not None:
        return ()
    if "allowed" in before.users.model_fields_set or not after.users.allowed:
        return ()
    return ("note: everybody could log in until now; from now on only who is in users.allowed",)


def notes_on_removing(config: Config) -> tuple[str, ...]:
    notes = []
    provider = provider_of(config.auth.type)
    is_own = provider is not None and provider.lets_in == "own"
    if is_own and _takes_anybody(config):
        notes.append(
            "note: anybody may log in by a name of their choice, they too; "
            "to be sure: sudo tljh user disable NAME"
        )
    elif not is_own and config.auth.allow_all is not False:
        notes.append(
            f"note: {config.auth.type} may still let them in by other rules than the lists; "
            "to be sure: sudo tljh user disable NAME"
        )
    if not config.users.admin:
        notes.append("note: nobody is an administrator now: sudo tljh user add --admin NAME")
    return tuple(notes)


def _takes_anybody(config: Config) -> bool:
    """Whether an authenticator with a list of its own puts everybody in it who comes."""
    if uses_first_use(config):
        return config.auth.allow_all is True
    own = {**config.auth.classes, **config.traitlets}.get("NativeAuthenticator", {})
    return uses_native(config) and own.get("open_signup") is True
