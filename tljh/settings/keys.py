"""Keys as people write them (`users.admin`), and the schema looked up by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Exit, TljhError

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from tljh.settings.declaration import KeyPath, Shape

_SIMPLE = re.compile(r"^[^.\"'\s]+$")


_PART = re.compile(r'"([^"]*)"|\'([^\']*)\'|([^."\'][^.]*)')


def key_text(path: KeyPath) -> str:
    """A path as one types it; an item of a list shows as `users.admin[2]`, counted from 1."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step + 1}]"
        else:
            part = step if _SIMPLE.match(step) else f'"{step}"'
            text += f".{part}" if text else part
    return text


def split_key(key: str) -> list[str]:
    """The parts of a key; a part with dots in it stands in quotes.

    Raises TljhError for a key that is empty or has an empty part.
    """
    parts: list[str] = []
    position = 0
    while True:
        found = _PART.match(key, position)
        if not found:
            break
        parts.append(next(group for group in found.groups() if group is not None))
        position = found.end()
        if position == len(key):
            return parts
        if key[position] != ".":
            break
        position += 1
    raise TljhError(
        f"this is not a key: {key!r}",
        fix="write it like users.admin; a part with a dot in it stands in quotes",
        exit_code=Exit.USAGE,
    )


def parse_key(key: str, shape: Shape) -> KeyPath:
    """Split a key by the schema: where any name may stand, the rest of the key is that name.

    So `users.extra_user_groups.a.b` names the group `a.b`. Where settings follow a name, what is
    none of them belongs to it: `limits.users.a.b.memory` is the memory of `a.b`.
    """
    parts = split_key(key)
    quoted = any(quote in key for quote in "\"'")
    here: Shape | None = shape
    for depth, part in enumerate(parts):
        if here is not None and here.kind == "map" and not quoted:
            rest = ".".join(parts[depth:])
            if here.item is None or here.item.kind not in ("map", "section", "any"):
                return (*parts[:depth], rest)
            if here.item.kind == "section":
                after = 1 if _is_meant(parts[-1], here.item) and len(parts) > depth + 1 else 0
                name = ".".join(parts[depth : len(parts) - after])
                return (*parts[:depth], name, *parts[len(parts) - after :])
        here = here.at(part) if here is not None else None
    return tuple(parts)


def _is_meant(part: str, shape: Shape) -> bool:
    """Whether a part of a key is a setting of a section, or its misspelling."""
    if part in shape.fields:
        return True
    from difflib import get_close_matches

    return bool(get_close_matches(part, shape.fields, 1, 0.6))


def shape_at(shape: Shape, path: KeyPath) -> Shape | None:
    """What the schema has at a path; None where it has nothing."""
    here: Shape | None = shape
    for step in path:
        here = here.at(step) if here is not None else None
    return here


def field_at(model: type[BaseModel], path: KeyPath) -> FieldInfo | None:
    """The declaration of the setting at a path."""
    from tljh.settings.declaration import shape_of

    here: type[BaseModel] | None = model
    info: FieldInfo | None = None
    for step in path:
        if here is None or step not in here.model_fields:
            return None
        info = here.model_fields[str(step)]
        below = shape_of(here).fields[str(step)].model
        here = below
    return info


def default_at(model: type[BaseModel], path: KeyPath) -> Any:
    """The default of a setting; None where a path names no setting."""
    info = field_at(model, path)
    return info.get_default(call_default_factory=True) if info else None


def walk_settings(
    model: type[BaseModel], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], FieldInfo, Shape]]:
    """Every setting with its path, sections first, in the order of declaration."""
    from tljh.settings.declaration import shape_of

    for name, shape in shape_of(model).fields.items():
        path = (*above, name)
        yield path, model.model_fields[name], shape
        if shape.kind == "section" and shape.model is not None:
            yield from walk_settings(shape.model, path)


@cache
def setting_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of all settings that hold a value."""
    return tuple(
        key_text(path) for path, _, shape in walk_settings(model) if shape.kind != "section"
    )
