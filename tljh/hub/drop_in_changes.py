"""What a drop-in changed in `c`, by whatever spelling, and the line of it where that is found."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tljh.base.errors import Place

# The path of each drop-in with its text.
DropIns = Sequence[tuple[Path, str]]
# The drop-in that changed a trait last, by `Section.trait`.
Changes = Mapping[str, Path]


def describe_traits(c: Mapping[str, Any]) -> dict[str, str]:
    """Return a text for the value of each trait, `Section.trait`, that tells two values apart."""
    return {
        f"{section}.{trait}": repr(value)
        for section, traits in c.items()
        if isinstance(traits, Mapping)
        for trait, value in traits.items()
        if not is_only_read(value)
    }


def is_only_read(value: Any) -> bool:
    """Return whether `value` is what traitlets leaves where a drop-in reads a trait without one."""
    from traitlets.config.loader import LazyConfigValue

    return isinstance(value, LazyConfigValue) and not value.to_dict()


def restore_sections(c: Any, before: Mapping[str, Any]) -> None:
    """Merge sections that a drop-in replaced as a whole with what they were before.

    `c.update({"JupyterHub": {"port": 443}})` would drop every other trait of tljh in it.
    """
    from traitlets.config import Config

    for name, section in list(c.items()):
        earlier = before.get(name)
        if section is earlier or not isinstance(section, Mapping):
            continue
        merged = earlier if isinstance(earlier, Config) else Config()
        for trait, value in dict(section).items():
            merged[trait] = value
        dict.__setitem__(c, name, merged)


def find_place(drop_ins: DropIns, text: str) -> Place | None:
    """Return file and line where a drop-in first has `text` outside a comment."""
    pattern = re.compile(rf"^[^#\n]*\b{re.escape(text)}", re.MULTILINE)
    for path, source in drop_ins:
        match = pattern.search(source)
        if match:
            return Place(str(path), source.count("\n", 0, match.end()) + 1)
    return None


def find_change(drop_ins: DropIns, changes: Changes, key: str) -> Place | None:
    """Return the drop-in that changed the trait `Section.trait`, with the line if it is found.

    None where no drop-in changed it. A drop-in may reach a section by another name, or by
    `setattr`: then the first line that has the trait's name counts.
    """
    changed_by = changes.get(key)
    if changed_by is None:
        return None
    sources = [(path, text) for path, text in drop_ins if path == changed_by]
    place = find_place(sources, key)
    if place is not None:
        return place
    for path, text in sources:
        line = _find_name(text, key.partition(".")[2])
        if line is not None:
            return Place(str(path), line)
    return Place(str(changed_by))


def _find_name(text: str, trait: str) -> int | None:
    """Return the first line where a program assigns to a trait; else, where it has its name."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    assigned: list[int] = []
    named: list[int] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == trait:
            (assigned if isinstance(node.ctx, ast.Store) else named).append(node.end_lineno or 0)
        elif isinstance(node, ast.keyword) and node.arg == trait:
            named.append(node.value.lineno)
        elif isinstance(node, ast.Constant) and node.value == trait:
            named.append(node.lineno)
    lines = assigned or named
    return min(lines) if lines else None
