"""What a change of the way to log in means for users: who can log in before and after.

Pure: two configurations, and the names that have a password here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.progress import format_count
from tljh.engine.facts import Facts
from tljh.settings.derived import build_access_traits, keeps_passwords, uses_first_use, uses_native
from tljh.settings.load import examine
from tljh.settings.login_providers import find_provider
from tljh.users.declared_access import collect_declared
from tljh.users.facts import UserFacts

if TYPE_CHECKING:
    from tljh.settings.root import Config

MOST_NAMES = 20


@dataclass(frozen=True)
class LoginAccess:
    """Who may log in by a configuration: everybody with an account there, or these names."""

    login: str
    is_open: bool
    names: frozenset[str]
    has_rules: bool

    def __str__(self) -> str:
        if self.is_open:
            return f"everyone with an account: {self.login}"
        by_name = f"{format_count(len(self.names), 'user')} by name"
        if self.has_rules:
            return f"{by_name}, and whom the rules of the login admit: {self.login}"
        return f"{by_name}: {self.login}"


def read_access(config: Config) -> LoginAccess:
    """Return who may log in, as far as config.yaml alone says it."""
    provider = find_provider(config.auth.type)
    classes = provider.classes if provider else ()
    sections = config.traitlets
    traits = {
        name
        for cls in classes
        for name, value in {**sections.get(cls, {}), **_get_class_section(config, cls)}.items()
        if value
    }
    has_rules = any(name.startswith("allowed_") and name != "allowed_users" for name in traits)
    return LoginAccess(
        login=provider.title if provider else config.auth.type,
        is_open=bool(build_access_traits(config).get("allow_all")) or "allow_all" in traits,
        names=collect_declared(config).permitted,
        has_rules=has_rules,
    )


def _get_class_section(config: Config, name: str) -> dict[str, object]:
    section = (config.auth.__pydantic_extra__ or {}).get(name)
    return dict(section) if isinstance(section, dict) else {}


def find_login_change(applied: bytes | None, config: Config, facts: Facts) -> tuple[str, ...]:
    """Return the notes on a change from the applied config.yaml; none before the first apply."""
    if applied is None:
        return ()
    before = examine(applied).config
    with_password = facts.of(UserFacts).logins_with_password
    if uses_native(config) and uses_first_use(before):
        with_password |= facts.of(UserFacts).first_use_logins
    return describe_login_change(before, config, with_password)


def describe_login_change(
    before: Config, after: Config, with_password: Collection[str]
) -> tuple[str, ...]:
    """Return notes for a plan; none unless the way to log in changes.

    `with_password` are the names with a password that the login after the change accepts.
    """
    old, new = read_access(before), read_access(after)
    if (old.login, old.is_open) == (new.login, new.is_open):
        return ()
    notes = [f"who can log in before: {old}", f"who can log in after: {new}"]
    if not new.is_open:
        lost = old.names - new.names
        if old.is_open:
            notes.append("users who are in no list lose access")
        elif lost:
            notes.append(f"lose access: {_format_names(lost)}")
    if not old.is_open and (gained := new.names - old.names):
        notes.append(f"gain access: {_format_names(gained)}")
    if old.login != new.login:
        notes += _describe_passwords(before, after, new.names, with_password)
    return tuple(notes)


def _describe_passwords(
    before: Config, after: Config, names: Collection[str], with_password: Collection[str]
) -> list[str]:
    if not keeps_passwords(after):
        notes = ["users keep account and home if the login has the same name for them"]
        if keeps_passwords(before):
            notes.append("passwords that the hub keeps are not used, and stay for a way back")
        return notes
    notes = []
    if uses_first_use(before) and uses_native(after):
        notes.append("passwords move with the change: users log in as before")
    missing = sorted(set(names) - set(with_password))
    if missing:
        way = "sudo tljh user claim NAME makes a link for each"
        notes.append(f"have no password yet: {_format_names(missing)} ({way})")
    return notes


def _format_names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - MOST_NAMES
    return ", ".join(ordered[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
