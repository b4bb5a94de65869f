"""Changes of values for people: by key, old -> new, with secrets masked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tljh.settings.keys import format_key
from tljh.settings.redaction import is_secret, redact, redact_code
from tljh.settings.yaml_text import format_flow

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


class NotSet:
    """The value of a key that is not written."""


NOT_SET = NotSet()

# Longer values and lists are cut: a class list may have hundreds of names.
MOST_CHARACTERS = 80
MOST_ITEMS = 10


def flatten(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Yield every value that is not a map, with its path; a list is one value."""
    if not isinstance(value, Mapping):
        yield path, value
        return
    for name, below in value.items():
        yield from flatten(below, (*path, str(name)))


def describe_change(path: KeyPath, old: Any, new: Any) -> str:
    """Return `old -> new`; of two lists only what is removed and added, of a secret no value."""
    if is_secret(path, old) or is_secret(path, new):
        if new in (NOT_SET, None, ""):
            return "removed (secret, not shown)"
        return f"{'set' if old in (NOT_SET, None, '') else 'changed'} (secret, not shown)"
    if isinstance(old, list) and isinstance(new, list):
        texts = [
            _list_items("-", [item for item in old if item not in new], path),
            _list_items("+", [item for item in new if item not in old], path),
        ]
        return " ".join(text for text in texts if text) or "another order"
    return f"{format_value(path, old)} -> {format_value(path, new)}"


def format_value(path: KeyPath, value: Any) -> str:
    """Return a value on one line, without secrets and not longer than a line."""
    if value is NOT_SET:
        return "not set"
    value = redact(value, path)
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    is_plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = value if is_plain else format_flow(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


def _list_items(sign: str, items: list[Any], path: KeyPath) -> str:
    texts = [f"{sign}{format_value((*path, 0), item)}" for item in items[:MOST_ITEMS]]
    if len(items) > MOST_ITEMS:
        texts.append(f"{sign}{len(items) - MOST_ITEMS} more")
    return " ".join(texts)


def compare_json(old: bytes, new: bytes) -> list[str]:
    """Return a line for each changed value of two JSON objects; an unreadable one counts as {}."""
    before, after = _read_json(old), _read_json(new)
    return [
        f"{format_key(path)}  {describe_change(path, *values)}"
        for path in dict.fromkeys((*before, *after))
        if (values := (before.get(path, NOT_SET), after.get(path, NOT_SET)))[0] != values[1]
    ]


def _read_json(data: bytes) -> dict[KeyPath, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return dict(flatten(value)) if isinstance(value, dict) else {}


def compare_code(old: bytes, new: bytes) -> list[str]:
    """Return the changed lines of two program texts, with the secrets in them masked."""
    before, after = (redact_code(data.decode(errors="replace")).splitlines() for data in (old, new))
    lines = list(difflib.unified_diff(before, after, "current", "planned", lineterm="", n=1))[2:]
    return lines or ["a secret changes (not shown)"]
