"""Presets and the groups that they name."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING

from tljh.settings.declaration import KeyPath, Problem
from tljh.settings.keys import find_nearest, format_key
from tljh.settings.rules.services import list_groups

if TYPE_CHECKING:
    from tljh.settings.root import Config


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the groups and names that presets have."""
    yield from _check_courses(config)
    yield from _check_collaboration(config)


def _check_courses(config: Config) -> Iterator[Problem]:
    folders = {name.lower(): name for name in config.users.shared_folders}
    seen: dict[str, str] = {}
    for name, course in config.presets.nbgrader.courses.items():
        path = ("presets", "nbgrader", "courses", name)
        yield from _check_instructors(config, path, name, course.instructors)
        if name.lower() in folders:
            yield Problem(
                path,
                f"the course {name} and the shared folder {folders[name.lower()]} have one name",
                why="the instructors of a course have its folder for themselves",
                fix="choose another name for the course; or, where the folder was meant for it: "
                f"sudo tljh share remove {quote(folders[name.lower()])}",
                severity="incomplete",
                at_key=True,
            )
        elif other := seen.get(name.lower()):
            yield Problem(
                path,
                f"the courses {other} and {name} differ in capital letters only",
                fix="choose another name for one of them",
                at_key=True,
            )
        seen[name.lower()] = name


def _check_instructors(
    config: Config, course: KeyPath, name: str, group: str | None
) -> Iterator[Problem]:
    groups = config.users.extra_user_groups
    path = (*course, "instructors")
    if group is None:
        yield Problem(
            course,
            f"the course {name} has no instructors",
            why="their group has the folder of the course",
            fix=f"sudo tljh-config set {quote(format_key(path))} GROUP",
            severity="incomplete",
            at_key=True,
        )
        return
    key = quote(format_key(("users", "extra_user_groups", group)))
    if group not in groups:
        nearest = find_nearest(group, groups)
        yield Problem(
            path,
            f"{format_key(path)} names {group}, which is not a group in users.extra_user_groups",
            why="the hub has a group of this name, but files belong to Linux groups"
            if group in config.groups
            else None,
            fix=f"sudo tljh-config set {quote(format_key(path))} {quote(nearest)}"
            if nearest
            else f"name its members: sudo tljh-config set {key} '[NAME, NAME]'",
            severity="incomplete",
        )
    elif not groups[group]:
        yield Problem(
            path,
            f"{format_key(path)} names {group}, which has no members",
            why="nobody can release or collect assignments",
            fix=f"sudo tljh-config add-item {key} NAME",
            severity="warning",
        )


def _check_collaboration(config: Config) -> Iterator[Problem]:
    existing = list_groups(config)
    if existing is None:
        return
    for name, group in config.presets.collaboration.groups.items():
        path: KeyPath = ("presets", "collaboration", "groups", name)
        if name not in existing:
            yield _describe_unknown_group(config, path, name, existing, at_key=True)
        for index, other in enumerate(group.joined_by):
            if other not in existing:
                yield _describe_unknown_group(config, (*path, "joined_by", index), other, existing)


def _describe_unknown_group(
    config: Config, path: KeyPath, name: str, existing: list[str], *, at_key: bool = False
) -> Problem:
    members = config.users.extra_user_groups.get(name)
    nearest = find_nearest(name, existing)
    key = quote(format_key(("groups", name)))
    setting = format_key(tuple(part for part in path if isinstance(part, str)))
    if members is not None:
        listed = quote(f"[{', '.join(members)}]")
        fix = f"sudo tljh-config set {key} {listed}"
    elif nearest:
        fix = f"write {nearest}"
    else:
        fix = f"name its members: sudo tljh-config set {key} '[NAME, NAME]'"
    return Problem(
        path,
        f"{setting} names {name}, which is not a group in groups",
        why="it is a group of Linux accounts, and the hub has other groups" if members else None,
        fix=fix,
        severity="incomplete",
        at_key=at_key,
    )
