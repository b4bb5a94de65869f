"""Single values of a YAML text, and the edits that bring a text to other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tljh.base.errors import TljhError
from tljh.settings.yaml_edit import add_item, set_value, unset_value
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_text import format_scalar

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


class MissingType:
    """The type of `MISSING`, which differs from a value that is null."""


MISSING: Final = MissingType()


def read_value_at(text: str, path: KeyPath) -> Any:
    """Return the value at a path of a YAML text; `MISSING` if there is none."""
    root = parse(text).root
    if root is None:
        return MISSING
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else MISSING


def change_values(text: str, values: Mapping[Any, Any]) -> str:
    """Edit a YAML text as little as possible so that it holds exactly `values`.

    Only a section that the edit leaves empty is removed although `values` has it.
    """
    root = parse(text).root
    current = root.value() if root is not None and root.kind == "map" else {}
    return _change_map(text, (), current, _convert_to_plain(values))


def _change_map(text: str, path: KeyPath, current: dict[str, Any], desired: dict[str, Any]) -> str:
    # First what is added: an edit that empties a section removes it.
    for key, value in desired.items():
        if key not in current:
            text = set_value(text, (*path, key), value)
        elif not _is_same(current[key], value):
            text = _change_value(text, (*path, key), current[key], value)
    for key in current:
        if key not in desired:
            text = unset_value(text, (*path, key))
    return text


def _change_value(text: str, path: KeyPath, current: Any, desired: Any) -> str:
    try:
        if isinstance(current, dict) and isinstance(desired, dict) and desired:
            return _change_map(text, path, current, desired)
        if isinstance(current, list) and isinstance(desired, list):
            kept = desired[: len(current)]
            if current and _is_same(kept, current):
                edited = text
                for item in desired[len(current) :]:
                    edited = add_item(edited, path, item)
                return edited
    except TljhError:
        # Text that an anchor shares cannot be changed in parts; the whole value can be replaced.
        pass
    return set_value(text, path, desired)


def _is_same(first: Any, second: Any) -> bool:
    """Compare two values and their types: in Python, true equals 1, and 1 equals 1.0."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            _is_same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same, first, second))
    return type(first) is type(second) and bool(first == second)


def _convert_to_plain(value: Any) -> Any:
    """Return a value that a plugin set with YAML's own types in place of their subclasses."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else format_scalar(key): _convert_to_plain(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (set, frozenset)):
        return sorted((_convert_to_plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_convert_to_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
