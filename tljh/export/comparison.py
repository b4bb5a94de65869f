"""What differs between an export and the hub as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tljh.settings.value_changes import flatten

# More names than this are not listed.
_MOST_NAMES = 12


def compare_states(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield the kind and the description of each difference."""
    for kind in ("settings", "packages", "drop-ins", "roles", "homes"):
        old, new = before.get(kind, {}), after.get(kind, {})
        yield from ((kind, text) for text in _compare_maps(kind, old, new))
    for kind in ("users", "admins"):
        yield from ((kind, text) for text in _compare_lists(before.get(kind, ()), after[kind]))
    groups = before.get("groups", {})
    for name in sorted({*groups, *after["groups"]}):
        for text in _compare_lists(groups.get(name, ()), after["groups"].get(name, ())):
            yield "groups", f"{name}: {text}"
        if name not in groups or name not in after["groups"]:
            yield "groups", f"{name} is {'gone' if name in groups else 'new'}"
    old_tokens, new_tokens = set(before.get("tokens", ())), set(after["tokens"])
    if old_tokens != new_tokens:
        added, removed = len(new_tokens - old_tokens), len(old_tokens - new_tokens)
        yield "tokens", f"{added} new, {removed} gone"


def _compare_lists(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    added, removed = sorted(set(new) - set(old)), sorted(set(old) - set(new))
    if added:
        yield f"new: {_list_names(added)}"
    if removed:
        yield f"gone: {_list_names(removed)}"


def _list_names(names: Sequence[str]) -> str:
    rest = len(names) - _MOST_NAMES
    listed = ", ".join(names[:_MOST_NAMES])
    return f"{listed} and {rest} more" if rest > 0 else listed


def _compare_maps(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    shows_values = kind in ("settings", "packages")
    for name in sorted({*old, *new}):
        if name not in new:
            yield f"{name} is gone"
        elif name not in old:
            yield f"{name} is new" + (f": {_format(new[name])}" if shows_values else "")
        elif old[name] != new[name]:
            change = f": {_format(old[name])} -> {_format(new[name])}" if shows_values else ""
            yield f"{name} has changed{change}"


def _format(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def compare_secrets(name: str, before: bytes, after: bytes) -> Iterator[str]:
    """Yield the names of secrets that differ, without their values."""
    old, new = _read_secrets(name, before), _read_secrets(name, after)
    for key in sorted({*old, *new}):
        if key not in new:
            yield f"{key} is gone"
        elif key not in old:
            yield f"{key} is new"
        elif old[key] != new[key]:
            yield f"{key} has changed"


def _read_secrets(name: str, data: bytes) -> dict[str, Any]:
    if not data:
        return {}
    if name.endswith(".json"):
        passwords: dict[str, Any] = json.loads(data)
        return passwords
    from ruamel.yaml import YAML

    tree = YAML(typ="safe", pure=True).load(data) or {}
    return {".".join(map(str, path)): value for path, value in flatten(tree)}
