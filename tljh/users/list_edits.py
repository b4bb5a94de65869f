"""Edits of the lists of users in the text of config.yaml. Pure; comments stay."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tljh.settings.declaration import KeyPath
from tljh.settings.yaml_edit import add_item, remove_item, set_value, unset_value
from tljh.settings.yaml_parse import parse

ALLOWED: KeyPath = ("users", "allowed")


ADMINS: KeyPath = ("users", "admin")


BANNED: KeyPath = ("users", "banned")


GROUPS: KeyPath = ("users", "extra_user_groups")


# Each single edit parses the whole text again, but keeps comments inside the list. Above this
# number the list is written in one edit: a class of 500 would take 500 parses.
MAX_SINGLE_EDITS = 10


def read_names(text: str, path: KeyPath) -> list[str]:
    """Return the names of the list at `path`; an empty list if there is none."""
    value = _read_value(text, path)
    return [str(item) for item in value] if isinstance(value, list) else []


def read_groups(text: str) -> list[str]:
    """Return the names of the groups in users.extra_user_groups."""
    value = _read_value(text, GROUPS)
    return list(value) if isinstance(value, dict) else []


def _read_value(text: str, path: KeyPath) -> Any:
    root = parse(text).root
    if root is None:
        return None
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else None


def add_names(text: str, path: KeyPath, names: Iterable[str]) -> str:
    """Return `text` with `names` added to a list, except those already in it in any case."""
    existing = read_names(text, path)
    lowered = {name.lower() for name in existing}
    new = [name for name in dict.fromkeys(names) if name.lower() not in lowered]
    if len(new) > MAX_SINGLE_EDITS:
        return set_value(text, path, [*existing, *new])
    for name in new:
        text = add_item(text, path, name)
    return text


def remove_names(text: str, path: KeyPath, names: Iterable[str]) -> str:
    """Return `text` with `names` removed from a list; case is ignored."""
    removed = {name.lower() for name in names}
    existing = read_names(text, path)
    kept = [name for name in existing if name.lower() not in removed]
    if len(existing) - len(kept) > MAX_SINGLE_EDITS:
        return set_value(text, path, kept)
    # From the end, so that the indexes before it stay valid.
    for index in reversed(range(len(existing))):
        if existing[index].lower() in removed:
            text = remove_item(text, path, index)
    return text


def remove_users(text: str, names: Iterable[str]) -> str:
    """Return `text` with `names` removed from every list that grants access or a group.

    users.banned stays as it is: removing a user must not end a ban.
    """
    removed = list(names)
    for path in (ALLOWED, ADMINS):
        text = remove_names(text, path, removed)
    for group in read_groups(text):
        text = remove_names(text, (*GROUPS, group), removed)
        if not read_names(text, (*GROUPS, group)):
            text = unset_value(text, (*GROUPS, group))
    return text
