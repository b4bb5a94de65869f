"""Access as config.yaml declares it, and what changes between two declarations.

Pure. The lists that were last applied are kept in a ledger file. By it, a user who was removed
from a list is distinguished from one who never was in a list (added on the hub's admin page, for
example): the first loses access, the second keeps it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.host.accounts import ADMINS_GROUP
from tljh.settings.derived import list_login_classes
from tljh.users.user_lists import combine_user_lists, rename_old_lists

if TYPE_CHECKING:
    from tljh.settings.root import Config


SHOWN_NEWLY_PERMITTED = 20


@dataclass(frozen=True)
class HubUser:
    """A user in the hub's database; `last_activity` is empty until the first login."""

    name: str
    is_admin: bool = False
    servers: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    created: str = ""
    last_activity: str = ""


@dataclass(frozen=True)
class DeclaredAccess:
    """The lists of users in one configuration, by login names.

    `groups` has the members of each Linux group, `common_groups` the groups that all accounts
    join. `locked` are the users whose accounts tljh itself locked; an account that was locked by
    an admin, with other tools, is never unlocked. `named` are the users in the hub's groups and
    roles.
    """

    allowed: frozenset[str] = frozenset()
    admins: frozenset[str] = frozenset()
    banned: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    common_groups: frozenset[str] = frozenset()
    locked: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()

    @property
    def permitted(self) -> frozenset[str]:
        return (self.allowed | self.admins) - self.banned

    @property
    def recorded(self) -> frozenset[str]:
        """The users for whom the starting hub makes records, with which they may log in."""
        return self.permitted | (self.named - self.banned)

    def groups_of(self, login: str) -> frozenset[str]:
        return frozenset(group for group, members in self.groups.items() if login in members)

    def as_bytes(self) -> bytes:
        value = {
            "allowed": sorted(self.allowed),
            "admins": sorted(self.admins),
            "banned": sorted(self.banned),
            "groups": {name: sorted(members) for name, members in sorted(self.groups.items())},
            "everybody": sorted(self.common_groups),
            "locked": sorted(self.locked),
            "named": sorted(self.named),
        }
        return json.dumps(value, indent=1).encode() + b"\n"


def collect_declared(config: Config) -> DeclaredAccess:
    """Return the lists of users in config.yaml, with names as the hub normalizes them.

    They are in `users`, and in the sections of the authenticator's classes.
    """
    users = config.users
    ours = {"allowed_users": users.allowed, "admin_users": users.admin}
    layers = [
        {"Authenticator": {**ours, "blocked_users": users.banned}},
        *(rename_old_lists(each) for each in (config.auth.classes, config.traitlets)),
    ]
    lists: dict[str, frozenset[str]] = {}
    for values in combine_user_lists(layers, list_login_classes(config))[0].values():
        lists |= {trait: frozenset(map(str.lower, names)) for trait, names in values.items()}
    return DeclaredAccess(
        allowed=lists["allowed_users"],
        admins=lists["admin_users"],
        banned=lists["blocked_users"],
        groups={name: frozenset(members) for name, members in users.extra_user_groups.items()},
        common_groups=frozenset(users.groups),
    )


def read_declared(data: bytes | None) -> DeclaredAccess | None:
    """Parse the ledger of the lists that were last applied; None if missing or not valid."""
    try:
        value = json.loads(data or b"")
        return DeclaredAccess(
            frozenset(value["allowed"]),
            frozenset(value["admins"]),
            frozenset(value["banned"]),
            {name: frozenset(members) for name, members in value["groups"].items()},
            frozenset(value["everybody"]),
            frozenset(value["locked"]),
            # Missing in a ledger of an earlier release.
            frozenset(value.get("named", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def read_listed_before(ledger: Path) -> frozenset[str]:
    """Return the names that users.allowed had when it was last applied, from the ledger."""
    try:
        declared = read_declared(ledger.read_bytes())
    except OSError:
        declared = None
    return declared.allowed if declared else frozenset()


@dataclass(frozen=True)
class AccessChanges:
    """What changes for which user, by login names.

    `shut_out`: no login, servers stopped, tokens revoked, account locked. `demoted`: no longer
    admins, of the hub or of the machine. `joins` and `leaves` are pairs of a login name and a
    Linux group; `joined_by_all` and `left_by_all` are groups that all accounts join or leave.
    """

    shut_out: frozenset[str] = frozenset()
    demoted: frozenset[str] = frozenset()
    newly_permitted: frozenset[str] = frozenset()
    unlocked: frozenset[str] = frozenset()
    joins: frozenset[tuple[str, str]] = frozenset()
    leaves: frozenset[tuple[str, str]] = frozenset()
    joined_by_all: frozenset[str] = frozenset()
    left_by_all: frozenset[str] = frozenset()

    def as_lines(self, *, has_own_accounts: bool = True) -> tuple[str, ...]:
        """Return the lines of a plan: one for each user whose access changes.

        Without `has_own_accounts`, users have ordinary accounts of the machine, which are never
        locked or unlocked.
        """
        effects = "no login, servers stopped, tokens revoked"
        if has_own_accounts:
            effects += ", account locked"
        parts: dict[str, list[str]] = {}
        texts = (
            (self.newly_permitted, "may log in"),
            (self.unlocked if has_own_accounts else (), "account unlocked"),
            (self.shut_out, f"shut out ({effects})"),
            (self.demoted, "no longer an admin (no sudo, servers and sessions ended)"),
        )
        for names, text in texts:
            for name in names:
                parts.setdefault(name, []).append(text)
        for name, group in sorted(self.joins):
            parts.setdefault(name, []).append(f"joins {group}")
        for name, group in sorted(self.leaves):
            parts.setdefault(name, []).append(f"leaves {group}")
        for group in sorted(self.joined_by_all):
            parts.setdefault("all users", []).append(f"join {group}")
        for group in sorted(self.left_by_all):
            parts.setdefault("all users", []).append(f"leave {group}")
        return tuple(f"{name}: {', '.join(texts)}" for name, texts in sorted(parts.items()))


def compare_access(
    before: DeclaredAccess | None,
    after: DeclaredAccess,
    hub_users: Iterable[HubUser] | None,
    removing: frozenset[str] = frozenset(),
) -> AccessChanges:
    """Return which users gain or lose access, rights or groups from `before` to `after`.

    `hub_users` is None while the hub does not answer. The users in `removing` lose access even if
    they never were in a list. Without `before` (no ledger yet) only bans are applied, because the
    users who were in the lists earlier are not known.
    """
    old = before or DeclaredAccess()
    dropped = {
        name
        for name in old.allowed | old.admins
        # An empty users.allowed restricts nobody: there, a former admin stays a user.
        if name not in after.permitted and (name in old.allowed or after.allowed)
    }
    banned = _find_bans(old, after, hub_users)
    shut_out = frozenset((dropped - after.banned) | banned | removing)
    return AccessChanges(
        shut_out=shut_out,
        demoted=frozenset(old.admins - after.admins - shut_out - old.locked),
        newly_permitted=frozenset(after.permitted - old.permitted),
        unlocked=frozenset(old.locked & (after.permitted | old.banned - after.banned) - shut_out),
        joins=frozenset(
            _collect_memberships(after) - _collect_memberships(old)
            | {(name, ADMINS_GROUP) for name in after.admins - old.admins - after.banned}
        ),
        leaves=frozenset(_collect_memberships(old) - _collect_memberships(after)),
        joined_by_all=after.common_groups - old.common_groups,
        left_by_all=old.common_groups - after.common_groups,
    )


def _find_bans(
    old: DeclaredAccess, after: DeclaredAccess, hub_users: Iterable[HubUser] | None
) -> set[str]:
    banned = set(after.banned - old.banned)
    for user in hub_users or ():
        # The hub makes a record for each name in users.allowed, also for a banned one. So a
        # record alone does not mean that a ban was evaded; a server or a login does.
        if user.name in after.banned and (user.servers or user.last_activity):
            banned.add(user.name)
    return banned


def _collect_memberships(declared: DeclaredAccess) -> set[tuple[str, str]]:
    return {(name, group) for group, members in declared.groups.items() for name in members}


def compute_ledger(
    changes: AccessChanges, before: DeclaredAccess | None, after: DeclaredAccess
) -> DeclaredAccess:
    """Return the lists to record in the ledger once `changes` are applied."""
    locked = ((before or DeclaredAccess()).locked | changes.shut_out) - changes.unlocked
    return replace(after, locked=locked)


def describe_changes(changes: AccessChanges, has_own_accounts: bool) -> tuple[str, ...]:
    """Return the lines of a plan, with only the first of many users who may newly log in.

    Users who lose something are always all listed: an admin must see them before they agree.
    """
    names = changes.newly_permitted
    if len(names) <= SHOWN_NEWLY_PERMITTED:
        return changes.as_lines(has_own_accounts=has_own_accounts)
    first_names = frozenset(sorted(names)[:SHOWN_NEWLY_PERMITTED])
    shortened = replace(changes, newly_permitted=first_names)
    return (
        *shortened.as_lines(has_own_accounts=has_own_accounts),
        f"and {len(names) - len(first_names)} more may log in",
    )


def summarize_changes(changes: AccessChanges) -> str:
    """Return the counts of users by what changes for them, as one line of a plan."""
    memberships = (*changes.joins, *changes.leaves, *changes.joined_by_all, *changes.left_by_all)
    counts = (
        (len(changes.newly_permitted), "may log in"),
        (len(changes.shut_out), "shut out"),
        (len(changes.demoted), "no longer admin"),
        (len(memberships), "group changes"),
    )
    parts = [f"{number} {what}" for number, what in counts if number]
    return ", ".join(parts) or "lists change, no user is affected"
