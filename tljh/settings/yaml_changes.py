"""Single values of a YAML text, and the edits that bring a text to other values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from tljh.base.errors import TljhError
from tljh.settings.yaml_edit import add_item, set_value, unset_value
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_text import scalar_text

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


class Missing:
    """The type of `MISSING`, which differs from a value that is null."""


MISSING: Final = Missing()


def value_at(text: str, path: KeyPath) -> Any:
    """Return the value at a path, or `MISSING`."""
    root = parse(text).root
    if root is None:
        return MISSING
    _, node, depth = root.find(path)
    return node.value() if depth == len(path) else MISSING


def with_values(text: str, values: Mapping[Any, Any]) -> str:
    """Return the text with the smallest edits after which it holds exactly `values`.

    Only a section that the edit leaves empty is removed although `values` has it.
    """
    root = parse(text).root
    current = root.value() if root is not None and root.kind == "map" else {}
    return _with_map(text, (), current, _plain(values))


def _with_map(text: str, path: KeyPath, current: dict[str, Any], wanted: dict[str, Any]) -> str:
    # First what is added: an edit that empties a section removes it.
    for key, value in wanted.items():
        if key not in current:
            text = set_value(text, (*path, key), value)
        elif not _is_same(current[key], value):
            text = _with_change(text, (*path, key), current[key], value)
    for key in current:
        if key not in wanted:
            text = unset_value(text, (*path, key))
    return text


def _with_change(text: str, path: KeyPath, current: Any, wanted: Any) -> str:
    try:
        if isinstance(current, dict) and isinstance(wanted, dict) and wanted:
            return _with_map(text, path, current, wanted)
        if isinstance(current, list) and isinstance(wanted, list):
            kept = wanted[: len(current)]
            if current and _is_same(kept, current):
                edited = text
                for item in wanted[len(current) :]:
                    edited = add_item(edited, path, item)
                return edited
    except TljhError:
        # Text that an anchor shares cannot be changed in parts; the whole value can be replaced.
        pass
    return set_value(text, path, wanted)


def _is_same(first: Any, second: Any) -> bool:
    """Compare values and types: true is not 1, and 1 is not 1.0."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(
            _is_same(value, second[key]) for key, value in first.items()
        )
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_is_same, first, second))
    return type(first) is type(second) and bool(first == second)


def _plain(value: Any) -> Any:
    """Return a value of a plugin's code as YAML has it; subclasses become their plain types."""
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else scalar_text(key): _plain(inner)
            for key, inner in value.items()
        }
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return str(value)
