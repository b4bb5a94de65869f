"""The tree of a YAML document, with the place of every value.

A loader forgets what messages and edits need: line and column, the text as it was written
(`00123456` in a password stays as it is), names that are used twice, and aliases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tljh.base.errors import Finding, Place

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath

_INT = re.compile(r"^[-+]?[0-9]+$")


_OCTAL = re.compile(r"^0o[0-7]+$")


_HEX = re.compile(r"^0x[0-9a-fA-F]+$")


_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


# int() refuses more than 4300 digits; no setting needs more than 40.
_LONGEST_INT = 40


_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": -float("inf")}


NULLS = ("", "~", "null", "Null", "NULL")


_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


WORDS_FOR_BOOL = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


@dataclass(frozen=True)
class SourcePosition:
    """A position in the text; line and column count from 1, `index` in characters from 0."""

    index: int
    line: int
    column: int


@dataclass(frozen=True)
class YamlProblem:
    """Something that makes the text unreadable as one plain YAML document."""

    what: str
    line: int | None = None
    column: int | None = None
    fix: str | None = None

    def as_finding(self, file: str) -> Finding:
        return Finding(self.what, Place(file, self.line, self.column), fix=self.fix)


@dataclass
class Node:
    """A value of the document; `end` is right after its last character.

    An alias shares `items`, `entries` and `raw` with its anchor, but has its own places.
    """

    kind: Literal["scalar", "list", "map"]
    start: SourcePosition
    end: SourcePosition
    raw: str = ""
    plain: bool = False
    flow: bool = False
    tagged: bool = False
    anchor: str | None = None
    alias: bool = False
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[Node, Node]] = field(default_factory=list)

    @property
    def is_null(self) -> bool:
        return self.kind == "scalar" and self.plain and self.raw in NULLS

    def value(self) -> Any:
        """Return the node as plain Python values, by the core schema of YAML 1.2."""
        if self.kind == "list":
            return [item.value() for item in self.items]
        if self.kind == "map":
            return {str(key.raw): value.value() for key, value in self.pairs()}
        return resolve(self.raw) if self.plain else self.raw

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Yield the key and value nodes of a map; own keys override those of merged maps (`<<`)."""
        names = set()
        for key, value in self.entries:
            if not (key.raw == "<<" and key.plain) and key.raw not in names:
                names.add(key.raw)
                yield key, value
        for source in self.merged():
            for key, value in source.pairs():
                if key.raw not in names:
                    names.add(key.raw)
                    yield key, value

    def merged(self) -> list[Node]:
        """Return the maps that are merged into this one (`<<`), the one with priority first."""
        sources: list[Node] = []
        for key, value in self.entries:
            if key.raw == "<<" and key.plain:
                sources += value.items if value.kind == "list" else [value]
        return sources

    def get(self, key: str | int) -> tuple[Node, Node] | None:
        """Return the key node and value node of a key; for a list index, the item's node twice."""
        if self.kind == "list" and isinstance(key, int) and 0 <= key < len(self.items):
            return self.items[key], self.items[key]
        if self.kind == "map":
            for name, value in self.pairs():
                if name.raw == str(key):
                    return name, value
        return None

    def find(self, path: KeyPath) -> tuple[Node, Node, int]:
        """Return key and value node of the deepest part of `path` that exists, and its depth."""
        key = value = self
        for depth, step in enumerate(path):
            pair = value.get(step)
            if pair is None:
                return key, value, depth
            key, value = pair
        return key, value, len(path)


@dataclass
class Document:
    """A parsed file: its text, its root (None if it holds no value), and its problems."""

    text: str
    root: Node | None = None
    problems: list[YamlProblem] = field(default_factory=list)


def resolve(raw: str) -> Any:
    """Return the value of an unquoted YAML word: null, true, a number or the text itself."""
    if raw in NULLS:
        return None
    if raw in _BOOLS:
        return _BOOLS[raw]
    if len(raw) <= _LONGEST_INT:
        if _INT.match(raw):
            return int(raw)
        if _OCTAL.match(raw):
            return int(raw[2:], 8)
        if _HEX.match(raw):
            return int(raw[2:], 16)
    if _FLOAT.match(raw):
        return float(raw)
    return _SPECIAL.get(raw.lower(), raw)
