"""Linux groups that give their members more than the name says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.host.power_groups import POWER_GROUPS, find_power_groups
from tljh.settings.declaration import KeyPath, Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Warn of users who are no admins and become root by a group."""
    groups = config.users.extra_user_groups
    for name in find_power_groups(groups):
        members = sorted(set(groups[name]) - set(config.users.admin))
        if members:
            yield _warn(("users", "extra_user_groups", name), name, ", ".join(members))
    for name in find_power_groups(config.users.groups):
        yield _warn(("users", "groups", config.users.groups.index(name)), name, "every user")


def _warn(path: KeyPath, name: str, members: str) -> Problem:
    return Problem(
        path,
        f"members of the group {name} can become root: {members}",
        why=f"{POWER_GROUPS[name]}; so they can read and change other users' files too",
        fix="choose another group; an admin of the hub is in users.admin",
        severity="warning",
        at_key=True,
    )
