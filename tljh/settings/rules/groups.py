"""Groups that give their members more than the name says, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from tljh.host.power_groups import POWER_GROUPS, find_power_groups
from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import find_nearest, format_key
from tljh.settings.rules.services import list_groups

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Warn of users who are no admins and become root by a group, and of unknown groups."""
    groups = config.users.extra_user_groups
    for name in find_power_groups(groups):
        members = sorted(set(groups[name]) - set(config.users.admin))
        if members:
            yield _warn(("users", "extra_user_groups", name), name, ", ".join(members))
    for name in find_power_groups(config.users.groups):
        yield _warn(("users", "groups", config.users.groups.index(name)), name, "every user")
    yield from _check_gpu_groups(config)


def _check_gpu_groups(config: Config) -> Iterator[Problem]:
    of_hub = list_groups(config)
    if of_hub is None:
        return
    existing = [*config.users.extra_user_groups, *config.users.groups, *of_hub]
    for index, name in enumerate(config.isolation.gpu_groups):
        if name in existing:
            continue
        nearest = find_nearest(name, existing)
        key = quote(format_key(("users", "extra_user_groups", name)))
        yield Problem(
            ("isolation", "gpu_groups", index),
            f"isolation.gpu_groups names {name}, which has no members in config.yaml",
            why="by it no user may use the GPUs; a group counts if users.extra_user_groups or "
            "groups has it",
            fix=f"write {nearest}"
            if nearest
            else f"name its members: sudo tljh-config set {key} '[NAME, NAME]'",
            severity="warning",
        )


def _warn(path: KeyPath, name: str, members: str) -> Problem:
    return Problem(
        path,
        f"members of the group {name} can become root: {members}",
        why=f"{POWER_GROUPS[name]}; so they can read and change other users' files too",
        fix="choose another group; an admin of the hub is in users.admin",
        severity="warning",
        at_key=True,
    )
