"""People's names in the lists of config.yaml: edits of its text, pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tljh.settings.declaration import KeyPath
from tljh.settings.yaml_edit import add_item, remove_item, set_value, unset_value
from tljh.settings.yaml_tree import parse

ALLOWED: KeyPath = ("users", "allowed")


ADMINS: KeyPath = ("users", "admin")


BANNED: KeyPath = ("users", "banned")


GROUPS: KeyPath = ("users", "extra_user_groups")


# Each single edit reads the whole text again; a class of 500 is put in at once.
SINGLE_EDITS = 10


def names_at(text: str, path: KeyPath) -> list[str]:
    """The names of a list; none where there is no list."""
    found = _value_at(text, path)
    return [str(item) for item in found] if isinstance(found, list) else []


def groups_in(text: str) -> list[str]:
    found = _value_at(text, GROUPS)
    return list(found) if isinstance(found, dict) else []


def _value_at(text: str, path: KeyPath) -> Any:
    root = parse(text).root
    if root is None:
        return None
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else None


def with_names(text: str, path: KeyPath, names: Iterable[str]) -> str:
    """`text` with these names in a list; those that are there, in any case, are not added."""
    there = names_at(text, path)
    lowered = {name.lower() for name in there}
    new = [name for name in dict.fromkeys(names) if name.lower() not in lowered]
    if len(new) > SINGLE_EDITS:
        return set_value(text, path, [*there, *new])
    for name in new:
        text = add_item(text, path, name)
    return text


def without_names(text: str, path: KeyPath, names: Iterable[str]) -> str:
    """`text` without these names in a list, however their case is written there."""
    unwanted = {name.lower() for name in names}
    there = names_at(text, path)
    kept = [name for name in there if name.lower() not in unwanted]
    if len(there) - len(kept) > SINGLE_EDITS:
        return set_value(text, path, kept)
    for index in reversed(range(len(there))):
        if there[index].lower() in unwanted:
            text = remove_item(text, path, index)
    return text


def without_people(text: str, names: Iterable[str]) -> str:
    """`text` without these names in any list that gives something."""
    gone = list(names)
    for path in (ALLOWED, ADMINS):
        text = without_names(text, path, gone)
    for group in groups_in(text):
        text = without_names(text, (*GROUPS, group), gone)
        if not names_at(text, (*GROUPS, group)):
            text = unset_value(text, (*GROUPS, group))
    return text
