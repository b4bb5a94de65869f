"""A YAML document as a tree that knows where everything stands.

The configuration is read through this and not through a loader, because a loader forgets what
messages and edits need: line and column, the text as it was written (`00123456` in a password
stays what it is), which key came twice, and where an alias stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from tljh.base.errors import Finding, Place

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath

# config.yaml is written by people; what is larger than this is something else.
LARGEST_BYTES = 1 << 20


# A "billion laughs" document is a few lines long and this many values deep down.
MOST_VALUES = 20_000


DEEPEST = 50


_INT = re.compile(r"^[-+]?[0-9]+$")


_OCTAL = re.compile(r"^0o[0-7]+$")


_HEX = re.compile(r"^0x[0-9a-fA-F]+$")


_FLOAT = re.compile(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$")


_SPECIAL = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": -float("inf")}


NULLS = ("", "~", "null", "Null", "NULL")


_BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


WORDS_FOR_BOOL = {
    **dict.fromkeys(("true", "yes", "on", "y"), True),
    **dict.fromkeys(("false", "no", "off", "n"), False),
}


@dataclass(frozen=True)
class Spot:
    """A place in the text; line and column count from 1, `index` in characters from 0."""

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
    """A value of the document. `end` is the position after its last character.

    An alias shares `items`, `entries` and `raw` with its anchor, but has other positions.
    """

    kind: Literal["scalar", "list", "map"]
    start: Spot
    end: Spot
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
        """Return plain Python values, by YAML 1.2's core schema."""
        if self.kind == "list":
            return [item.value() for item in self.items]
        if self.kind == "map":
            return {str(key.raw): value.value() for key, value in self.pairs()}
        return resolve(self.raw) if self.plain else self.raw

    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Yield keys with values, and resolve merge keys (`<<`): the map's own keys win."""
        seen = set()
        for key, value in self.entries:
            if not (key.raw == "<<" and key.plain) and key.raw not in seen:
                seen.add(key.raw)
                yield key, value
        for source in self.merged():
            for key, value in source.pairs():
                if key.raw not in seen:
                    seen.add(key.raw)
                    yield key, value

    def merged(self) -> list[Node]:
        """Return the maps that are merged into this one (`<<`), in order of precedence."""
        sources: list[Node] = []
        for key, value in self.entries:
            if key.raw == "<<" and key.plain:
                sources += value.items if value.kind == "list" else [value]
        return sources

    def get(self, key: str | int) -> tuple[Node, Node] | None:
        """Return the nodes of a key and its value, one step down."""
        if self.kind == "list" and isinstance(key, int) and 0 <= key < len(self.items):
            return self.items[key], self.items[key]
        if self.kind == "map":
            for name, value in self.pairs():
                if name.raw == str(key):
                    return name, value
        return None

    def find(self, path: KeyPath) -> tuple[Node, Node, int]:
        """Return the nodes of the deepest part of `path` that exists, and its number of steps."""
        key = value = self
        for depth, step in enumerate(path):
            nodes = value.get(step)
            if nodes is None:
                return key, value, depth
            key, value = nodes
        return key, value, len(path)


@dataclass
class Document:
    """A parsed file: its text, its root (None when it holds nothing), and what is wrong."""

    text: str
    root: Node | None = None
    problems: list[YamlProblem] = field(default_factory=list)


def resolve(raw: str) -> Any:
    """Return the value of a plain scalar."""
    if raw in NULLS:
        return None
    if raw in _BOOLS:
        return _BOOLS[raw]
    # int() refuses more than 4300 digits, and nothing here has more than 40.
    if len(raw) <= 40:
        if _INT.match(raw):
            return int(raw)
        if _OCTAL.match(raw):
            return int(raw[2:], 8)
        if _HEX.match(raw):
            return int(raw[2:], 16)
    if _FLOAT.match(raw):
        return float(raw)
    return _SPECIAL.get(raw.lower(), raw)


def parse(data: bytes | str) -> Document:
    """Read one YAML document; never raises, what is wrong stands in `problems`."""
    if isinstance(data, bytes):
        if len(data) > LARGEST_BYTES:
            size = f"the file has {len(data)} bytes, more than the {LARGEST_BYTES} that are read"
            return Document("", problems=[YamlProblem(size)])
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            return Document("", problems=[_undecodable(data, error)])
    else:
        text = data
    return _parse_text(text)


@lru_cache(maxsize=8)
def _parse_text(text: str) -> Document:
    # One edit looks at the same two texts half a dozen times. Nobody changes a document.
    return _Builder(text).build()


def _undecodable(data: bytes, error: UnicodeDecodeError) -> YamlProblem:
    before = data[: error.start]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return YamlProblem(
        f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}",
        line,
        column,
        "save it as UTF-8 in the editor that wrote it",
    )


class _Builder:
    """Makes the tree from the parser's events, which know more than its nodes do."""

    def __init__(self, text: str) -> None:
        self.document = Document(text)
        self.anchors: dict[str, Node] = {}
        self.values = 0
        self.events: Iterator[Any] = iter(())

    def build(self) -> Document:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        text = self.document.text
        try:
            self.events = YAML(typ="safe", pure=True).parse(text)
            self._stream()
        except _Stop:
            pass
        except MarkedYAMLError as error:
            self.document.problems.append(_syntax_problem(error, text))
        except YAMLError as error:
            self.document.problems.append(_unreadable_character(error, text))
        except RecursionError:
            self.document.problems.append(YamlProblem("the file is nested too deeply"))
        return self.document

    def _problem(self, what: str, spot: Spot, fix: str | None = None) -> None:
        self.document.problems.append(YamlProblem(what, spot.line, spot.column, fix))

    def _stop(self, what: str, spot: Spot, fix: str | None = None) -> None:
        self._problem(what, spot, fix)
        raise _Stop

    def _stream(self) -> None:
        seen = 0
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                seen += 1
                if seen > 1:
                    self._stop(
                        "the file holds more than one document",
                        _spot(event.start_mark),
                        "remove the line --- and merge what follows it",
                    )
            elif name not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                self.document.root = self._node(event, 0)

    def _count(self, node: Node, spot: Spot, amount: int = 1) -> Node:
        self.values += amount
        if self.values > MOST_VALUES:
            self._stop(
                f"the file unfolds to more than {MOST_VALUES} values",
                spot,
                "write out what its aliases (*name) stand for, or remove them",
            )
        return node

    def _node(self, event: Any, depth: int) -> Node:
        name = type(event).__name__
        start, end = _spot(event.start_mark), _spot(event.end_mark)
        if depth > DEEPEST:
            self._stop(f"the file is nested more than {DEEPEST} deep", start)
        if name == "AliasEvent":
            return self._alias(event, start, end)
        tag = event.tag
        tagged = tag is not None and str(tag) not in ("", "!", "None")
        if tagged:
            self._problem(
                f"the tag {tag} has no meaning here", start, "remove it and write the plain value"
            )
        node = Node("scalar", start, end, tagged=tagged, anchor=event.anchor)
        if name == "ScalarEvent":
            node.raw = event.value
            node.plain = event.style is None or event.style == ""
        else:
            node.kind = "list" if name == "SequenceStartEvent" else "map"
            node.flow = bool(event.flow_style)
            self._children(node, depth)
        if event.anchor:
            self.anchors[event.anchor] = node
        return self._count(node, start)

    def _children(self, node: Node, depth: int) -> None:
        seen: dict[str, Node] = {}
        for event in self.events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                # A block collection's end event lies behind comments; its last value doesn't.
                if node.flow:
                    node.end = _spot(event.end_mark)
                break
            child = self._node(event, depth + 1)
            if node.kind == "list":
                node.items.append(child)
                node.end = child.end
                continue
            value = self._node(next(self.events), depth + 1)
            self._entry(node, child, value, seen)
            node.end = value.end if value.end.index >= child.end.index else child.end

    def _entry(self, node: Node, key: Node, value: Node, seen: dict[str, Node]) -> None:
        if key.kind != "scalar":
            self._stop("a name must be plain text, not a list or a map", key.start)
        if key.raw == "<<" and key.plain:
            sources = value.items if value.kind == "list" else [value]
            if any(source.kind != "map" for source in sources):
                self._stop("<< must be followed by an alias of a map", key.start)
        elif key.raw in seen:
            first = seen[key.raw].start.line
            self._problem(
                f"{key.raw} stands here a second time; the first is in line {first}",
                key.start,
                "keep one of the two",
            )
        seen.setdefault(key.raw, key)
        if value.kind == "scalar" and value.start.index == value.end.index:
            # The parser puts a missing value where the next thing stands: behind its ':' is better.
            colon = self.document.text.find(":", key.end.index) + 1
            column = key.end.column + colon - key.end.index
            value.start = value.end = Spot(colon, key.end.line, column)
        node.entries.append((key, value))

    def _alias(self, event: Any, start: Spot, end: Spot) -> Node:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            self._stop(
                f"the alias *{event.anchor} has no anchor &{event.anchor} before it",
                start,
                f"write &{event.anchor} before the value that it stands for, or quote the *",
            )
        assert anchor is not None
        from dataclasses import replace

        alias = replace(anchor, start=start, end=end, alias=True)
        return self._count(alias, start, _size(anchor))


class _Stop(Exception):
    """The document cannot be read any further; its problems say why."""


def _size(node: Node) -> int:
    """Return how many values a node unfolds to, or a number above the limit."""
    waiting, count = [node], 0
    while waiting and count <= MOST_VALUES:
        one = waiting.pop()
        count += 1
        waiting += one.items
        waiting += [value for _, value in one.entries]
    return count


def _spot(mark: Any) -> Spot:
    return Spot(mark.index, mark.line + 1, mark.column + 1)


def _syntax_problem(error: Any, text: str) -> YamlProblem:
    problem = str(error.problem or error.context or "it cannot be read")
    mark = error.problem_mark or error.context_mark
    if problem.startswith(("found unexpected end", "expected ','")) and error.context_mark:
        mark = error.context_mark  # where it was opened
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    here = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    indent = here[: len(here) - len(here.lstrip())]
    if "\\t" in problem or "\t" in indent:
        tab = here.find("\t") + 1
        fix = "use spaces, two for each level"
        return YamlProblem("a tab stands where only spaces can", line, tab or column, fix)
    fixes = {
        "mapping values are not allowed": (
            "a second ':' stands in this line",
            "put quotes around the value, or a line break and spaces before it",
        ),
        "could not find expected ':'": (
            "a name without ':' stands here",
            "write it as name: value; a secret that begins oddly needs quotes",
        ),
        "expected <block end>": (
            "this does not line up with what stands above it",
            "indent it like its neighbours",
        ),
        "expected the node content": ("a value is missing here", "write one, or close the bracket"),
        "expected ','": ("a bracket or brace is not closed", "close it"),
        "found character": ("a character stands here that no value can begin with", "quote it"),
        "found unexpected end of stream": ("a quote or a bracket is not closed", "close it"),
        "found undefined tag": ("a tag has no meaning here", "remove it"),
        "found unknown escape": (
            "an escape stands here that YAML does not know",
            "use single quotes, in which a backslash is only a backslash",
        ),
    }
    if problem.startswith("mapping values") and here.count(":") < 2:
        problem = "expected <block end>"
    for begins, (what, fix) in fixes.items():
        if problem.startswith(begins):
            return YamlProblem(what, line, column, fix)
    return YamlProblem(f"this is not YAML: {problem}", line, column)


def _unreadable_character(error: Any, text: str) -> YamlProblem:
    position = getattr(error, "position", None)
    if not isinstance(position, int):
        return YamlProblem(f"this is not YAML: {str(error).splitlines()[0]}")
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    character = getattr(error, "character", "")
    code = character if isinstance(character, int) else ord(character or "\0")
    return YamlProblem(
        f"the file has a character that YAML does not allow: U+{code:04X}",
        line,
        column,
        "remove it",
    )
