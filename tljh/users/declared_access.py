"""Who should be what: what the lists of one configuration take from, and give to, whom.

Pure. What was declared when it was last applied is kept in a file of its own, so that somebody
who is gone from a list is told from somebody who never was in one (and was added in the hub's
own admin page, for example).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.account_names import account_name
from tljh.host.accounts import ADMINS_GROUP

if TYPE_CHECKING:
    from tljh.settings.root import Config

LEDGER = "people.json"


@dataclass(frozen=True)
class HubUser:
    """Somebody in the hub's own database. `last_activity` is empty for who never was there."""

    name: str
    is_admin: bool = False
    servers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    created: str = ""
    last_activity: str = ""


@dataclass(frozen=True)
class Declared:
    """What a configuration says of people.

    `everybody` are the groups that all accounts are in, `locked` the names whose accounts we
    locked.
    """

    allowed: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    banned: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    everybody: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()

    @property
    def welcome(self) -> frozenset[str]:
        return (self.allowed | self.admins) - self.banned

    def groups_of(self, login: str) -> frozenset[str]:
        return frozenset(group for group, members in self.groups.items() if login in members)

    def as_bytes(self) -> bytes:
        value = {
            "allowed": sorted(self.allowed),
            "admins": sorted(self.admins),
            "banned": sorted(self.banned),
            "groups": {name: sorted(members) for name, members in sorted(self.groups.items())},
            "everybody": sorted(self.everybody),
            "locked": sorted(self.locked),
        }
        return json.dumps(value, indent=1).encode() + b"\n"


def declared_in(config: Config) -> Declared:
    """The lists of a configuration, by the names that the hub knows people by."""
    users = config.users
    return Declared(
        allowed=frozenset(users.allowed),
        admins=frozenset(users.admin),
        banned=frozenset(users.banned),
        groups={name: frozenset(them) for name, them in users.extra_user_groups.items()},
        everybody=frozenset(users.groups),
    )


def read_declared(data: bytes | None) -> Declared | None:
    """What was declared before; None where nothing was, or the file is not one of ours."""
    try:
        value = json.loads(data or b"")
        return Declared(
            frozenset(value["allowed"]),
            frozenset(value["admins"]),
            frozenset(value["banned"]),
            {name: frozenset(members) for name, members in value["groups"].items()},
            frozenset(value["everybody"]),
            frozenset(value["locked"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def listed_before(state_dir: Path) -> frozenset[str]:
    """Who was in users.allowed when it was last applied."""
    try:
        declared = read_declared((state_dir / LEDGER).read_bytes())
    except OSError:
        declared = None
    return declared.allowed if declared else frozenset()


@dataclass(frozen=True)
class Changes:
    """What has to happen to whom, by login names.

    `shut_out`: no login, servers stopped, tokens revoked, account locked. `demoted`: no longer
    administrators, of the hub or of the machine. `joins` and `leaves` are pairs of a login and
    a Linux group; `all_join` and `all_leave` are groups of everybody.
    """

    shut_out: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    let_in: frozenset[str] = frozenset()
    unlocked: frozenset[str] = frozenset()
    joins: frozenset[tuple[str, str]] = frozenset()
    leaves: frozenset[tuple[str, str]] = frozenset()
    all_join: frozenset[str] = frozenset()
    all_leave: frozenset[str] = frozenset()

    def as_lines(self, *, has_own_accounts: bool = True) -> tuple[str, ...]:
        """One line for each person, as a plan shows it; only accounts of ours are locked."""
        out = "is out: no login, servers stopped, tokens revoked"
        found: dict[str, list[str]] = {}
        texts = (
            (self.let_in, "may log in"),
            (self.unlocked if has_own_accounts else (), "account unlocked"),
            (self.shut_out, f"{out}, account locked" if has_own_accounts else out),
            (self.demoted, "is no administrator any more: no sudo, servers and sessions ended"),
        )
        for names, text in texts:
            for name in names:
                found.setdefault(name, []).append(text)
        for name, group in sorted(self.joins):
            found.setdefault(name, []).append(f"joins {group}")
        for name, group in sorted(self.leaves):
            found.setdefault(name, []).append(f"leaves {group}")
        for group in sorted(self.all_join):
            found.setdefault("everybody", []).append(f"joins {group}")
        for group in sorted(self.all_leave):
            found.setdefault("everybody", []).append(f"leaves {group}")
        return tuple(f"{name}: {', '.join(texts)}" for name, texts in sorted(found.items()))


def changes(
    before: Declared | None,
    after: Declared,
    hub_users: Iterable[HubUser] | None,
    removing: frozenset[str] = frozenset(),
) -> Changes:
    """Compare what was declared with what is declared now.

    `hub_users` is None while the hub does not run; `removing` are shut out whatever the lists
    said. Without `before` only bans count: nothing is known of who was in a list earlier.
    """
    had = before or Declared()
    left = {
        name
        for name in had.allowed | had.admins
        # An administrator who is no longer one stays a user where users are not listed.
        if name not in after.welcome and (name in had.allowed or after.allowed)
    }
    banned = _bans_to_carry_out(had, after, hub_users)
    shut_out = frozenset((left - after.banned) | banned | removing)
    return Changes(
        shut_out=shut_out,
        demoted=frozenset(had.admins - after.admins - shut_out - had.locked),
        let_in=frozenset(after.welcome - had.welcome),
        unlocked=frozenset(had.locked & (after.welcome | had.banned - after.banned) - shut_out),
        joins=frozenset(
            _pairs(after) - _pairs(had)
            | {(name, ADMINS_GROUP) for name in after.admins - had.admins - after.banned}
        ),
        leaves=frozenset(_pairs(had) - _pairs(after)),
        all_join=after.everybody - had.everybody,
        all_leave=had.everybody - after.everybody,
    )


def _bans_to_carry_out(
    had: Declared, after: Declared, hub_users: Iterable[HubUser] | None
) -> set[str]:
    new = set(after.banned - had.banned)
    for user in hub_users or ():
        # The hub makes a record for each name in users.allowed; only one that was used matters.
        if user.name in after.banned and (user.servers or user.last_activity):
            new.add(user.name)
    return new


def _pairs(declared: Declared) -> set[tuple[str, str]]:
    return {(name, group) for group, members in declared.groups.items() for name in members}


def ledger_after(done: Changes, before: Declared | None, after: Declared) -> Declared:
    """What to remember once `done` is done."""
    locked = ((before or Declared()).locked | done.shut_out) - done.unlocked
    return replace(after, locked=locked)


def account_or_none(login: str) -> str | None:
    """The account of a login name; None for a name that cannot have one."""
    try:
        return account_name(login)
    except ValueError:
        return None
