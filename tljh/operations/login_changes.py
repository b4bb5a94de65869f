"""What a change of the way to log in means for users: who can log in before and after.

Pure: two configurations, the names that have a password here, and what the hub loaded last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.progress import format_count
from tljh.engine.facts import Facts
from tljh.settings.derived import (
    build_access_traits,
    get_authenticator_class,
    keeps_passwords,
    uses_first_use,
    uses_native,
)
from tljh.settings.load import examine
from tljh.settings.login_providers import find_provider
from tljh.users.declared_access import collect_declared
from tljh.users.effective_lists import EffectiveLists
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


def read_access(config: Config, others: frozenset[str] = frozenset()) -> LoginAccess:
    """Return who may log in by config.yaml, and `others`, who are named elsewhere."""
    provider, declared = find_provider(config.auth.type), collect_declared(config)
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
        names=declared.permitted | (others - declared.banned),
        has_rules=has_rules,
    )


def _get_class_section(config: Config, name: str) -> dict[str, object]:
    section = (config.auth.__pydantic_extra__ or {}).get(name)
    return dict(section) if isinstance(section, dict) else {}


def find_login_change(applied: bytes | None, config: Config, facts: Facts) -> tuple[str, ...]:
    """Return the notes on a change from the applied config.yaml; none before the first apply."""
    if applied is None:
        return ()
    before, users = examine(applied).config, facts.of(UserFacts)
    login = _find_login_chosen_elsewhere(before, users.running)
    if login:
        is_same = get_authenticator_class(before) == get_authenticator_class(config)
        return () if is_same else (f"{login}; auth.type has no effect while it does",)
    elsewhere = users.running.permitted if users.running else frozenset()
    others = elsewhere - collect_declared(before).permitted
    return describe_login_change(before, config, users, others)


def _find_login_chosen_elsewhere(config: Config, running: EffectiveLists | None) -> str | None:
    """Return a sentence on the class that a drop-in or plugin chose; None if auth.type did."""
    if running is None or not running.login:
        return None
    loaded, chosen = find_provider(running.login), find_provider(config.auth.type)
    if loaded == chosen:
        return None
    title = loaded.title if loaded else running.login
    return f"a drop-in or plugin chooses how users log in: {title}"


def describe_login_change(
    before: Config, after: Config, users: UserFacts, others: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Return notes for a plan; none unless the way to log in changes.

    `others` are users that drop-ins and plugins name.
    """
    old, new = read_access(before, others), read_access(after, others)
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
        notes += _describe_passwords(before, after, new.names, users)
    return tuple(notes)


def _describe_passwords(
    before: Config, after: Config, names: Collection[str], users: UserFacts
) -> list[str]:
    if not keeps_passwords(after):
        notes = ["users keep account and home if the login has the same name for them"]
        if keeps_passwords(before):
            notes.append("passwords that the hub keeps are not used, and stay for a way back")
        return notes
    notes = []
    with_password = users.logins_with_password
    if uses_first_use(before) and uses_native(after):
        notes.append("passwords move with the change: users log in as before")
        with_password |= users.first_use_logins
    elif uses_first_use(after) and (revived := users.first_use_logins & set(names)):
        notes.append(
            f"log in with the password that they had at the last first use: "
            f"{_format_names(revived)} (sudo tljh user reset-password NAME ends one)"
        )
    missing = sorted(set(names) - set(with_password))
    if missing:
        way = "sudo tljh user claim NAME makes a link for each"
        notes.append(f"have no password yet: {_format_names(missing)} ({way})")
    return notes


def _format_names(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - MOST_NAMES
    return ", ".join(ordered[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")
