"""Groups that the configuration names, in the hub's database: no member stays that left them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyterhub import orm

from tljh.host.interface import Host

Members = Mapping[str, Set[str]]


@dataclass(frozen=True)
class GroupsLedger:
    """What the last hub loaded: the groups of config.yaml, and members that it added.

    `members` are those that were added because the configuration names them, and `added_groups`
    the groups that did not exist before. Members and groups of the hub's pages are in neither.
    """

    declared: frozenset[str] = frozenset()
    members: Members = field(default_factory=dict)
    added_groups: frozenset[str] = frozenset()

    def as_bytes(self) -> bytes:
        value = {
            "declared": sorted(self.declared),
            "members": {name: sorted(members) for name, members in sorted(self.members.items())},
            "added_groups": sorted(self.added_groups),
        }
        return json.dumps(value).encode()


def read_groups_ledger(data: bytes | None) -> GroupsLedger:
    """Parse the file of the last hub; empty if missing or not valid."""
    try:
        value = json.loads(data or b"{}")
        members = {name: frozenset(names) for name, names in value["members"].items()}
        return GroupsLedger(frozenset(value["declared"]), members, frozenset(value["added_groups"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return GroupsLedger()


def read_members(db: Any, names: Collection[str]) -> Members:
    """Return the members of those of the groups that are in the hub's database."""
    groups = db.query(orm.Group).filter(orm.Group.name.in_(list(names)))
    return {group.name: {user.name for user in group.users} for group in groups}


def follow_groups(
    db: Any, host: Host, ledger: Path, *, loaded: Members, declared: Set[str], before: Members
) -> list[str]:
    """Remove members and groups that the configuration named before; return the changed groups.

    JupyterHub only ever adds members. `loaded` are the groups that this hub has loaded, and
    `before` the members that they had until then. Groups in `declared`, those of config.yaml, have
    exactly the members that are loaded. Other groups lose the members that an earlier hub added
    and this one does not name, which came with a drop-in that is gone or was rolled back.
    """
    previous = read_groups_ledger(host.read(ledger))
    changed = set()
    for name in previous.declared | previous.members.keys() | declared:
        group = orm.Group.find(db, name)
        if group is None:
            continue
        if name in previous.declared and name not in loaded:
            db.delete(group)
            changed.add(name)
            continue
        members = loaded.get(name, frozenset())
        stale = previous.members.get(name, frozenset()) - members
        for user in list(group.users):
            if user.name in stale or (name in declared and user.name not in members):
                group.users.remove(user)
                changed.add(name)
        if name in previous.added_groups and name not in loaded and not group.users:
            db.delete(group)
            changed.add(name)
    db.commit()
    current = GroupsLedger(
        frozenset(declared),
        {
            name: (members - before.get(name, frozenset()))
            | (members & previous.members.get(name, frozenset()))
            for name, members in loaded.items()
        },
        frozenset(name for name in loaded if name not in before or name in previous.added_groups),
    )
    if current != previous:
        host.write(ledger, current.as_bytes(), mode=0o600)
    return sorted(changed)
