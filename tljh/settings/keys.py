"""The keys that admins type (`users.admin`), and the paths that they stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Exit, TljhError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tljh.settings.declaration import KeyPath
    from tljh.settings.shape import Shape

_SIMPLE = re.compile(r"^[^.\"'\s]+$")


_PART = re.compile(r'"([^"]*)"|\'([^\']*)\'|([^."\'][^.]*)')


def format_key(path: KeyPath) -> str:
    """Return a path as admins type it; list items are counted from 1: `users.admin[2]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            part = step if _SIMPLE.match(step) else f'"{step}"'
            text += f".{part}" if text else part
    return text


def split_key(key: str) -> list[str]:
    """Split a key at its dots, except for those in quotes.

    Raises TljhError for an empty key or an empty part.
    """
    parts: list[str] = []
    position = 0
    while True:
        match = _PART.match(key, position)
        if not match:
            break
        parts.append(next(group for group in match.groups() if group is not None))
        position = match.end()
        if position == len(key):
            return parts
        if key[position] != ".":
            break
        position += 1
    raise TljhError(
        f"this is not a key: {key!r}",
        fix="write it like users.admin; put a part with a dot in it in quotes",
        exit_code=Exit.USAGE,
    )


def parse_key(key: str, shape: Shape) -> KeyPath:
    """Split a key by the schema: in a map, which takes any name, dots belong to the name.

    `users.extra_user_groups.a.b` names the group `a.b`. Where the values of the map are
    sections, the name ends before the last setting: `limits.users.a.b.memory` is the memory
    of `a.b`.
    """
    from tljh.settings.shape import follow_path

    parts = split_key(key)
    if any(quote in key for quote in "\"'"):
        return tuple(parts)
    for depth, here in enumerate((shape, *follow_path(shape, parts[:-1]))):
        if here is None or here.kind != "map":
            continue
        if here.item is None or here.item.kind not in ("map", "section", "any"):
            return (*parts[:depth], ".".join(parts[depth:]))
        if here.item.kind == "section":
            settings = 1 if len(parts) > depth + 1 and _is_setting(parts[-1], here.item) else 0
            end = len(parts) - settings
            return (*parts[:depth], ".".join(parts[depth:end]), *parts[end:])
    return tuple(parts)


def _is_setting(part: str, section: Shape) -> bool:
    """Return whether a step of a key names a setting of a section, misspelled ones included."""
    if part in section.fields:
        return True
    return find_nearest(part, section.fields) is not None


def find_nearest(name: str, candidates: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the candidate that `name` was probably meant to be; None if none is similar."""
    # Imported here: it is needed only for a mistake.
    from difflib import get_close_matches

    matches = get_close_matches(name, list(candidates), 1, cutoff)
    return matches[0] if matches else None


def get_default(model: type[BaseModel], path: KeyPath) -> Any:
    """Return the default of a setting; None where the path names no setting."""
    from tljh.settings.shape import derive_shape, find_shape

    shape = find_shape(derive_shape(model), path)
    if shape is None or shape.declaration is None:
        return None
    return shape.declaration.get_default(call_default_factory=True)


@cache
def setting_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the keys of all settings that hold a value."""
    from tljh.settings.shape import derive_shape, walk

    return tuple(
        format_key(path) for path, shape in walk(derive_shape(model)) if shape.kind != "section"
    )
