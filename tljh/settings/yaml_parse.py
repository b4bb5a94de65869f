"""Parsing of a YAML text into a tree, with every problem described for an admin."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from tljh.settings.yaml_tree import Document, Node, SourcePosition, YamlProblem

# A larger file is not a configuration.
LARGEST_BYTES = 1 << 20


# A few lines of aliases of aliases ("billion laughs") can expand to any number of values.
MOST_VALUES = 20_000


DEEPEST = 50


def parse(data: bytes | str) -> Document:
    """Parse one YAML document. Never raises: what is wrong is in its `problems`."""
    if isinstance(data, str):
        return _parse_text(data)
    if len(data) > LARGEST_BYTES:
        what = f"the file has {len(data)} bytes; the limit is {LARGEST_BYTES}"
        return Document("", problems=[YamlProblem(what)])
    try:
        return _parse_text(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Document("", problems=[_report_not_utf8(data, error)])


@lru_cache(maxsize=8)
def _parse_text(text: str) -> Document:
    # One edit parses the same two texts six times. No caller changes a document.
    return _Builder(text).build()


def _report_not_utf8(data: bytes, error: UnicodeDecodeError) -> YamlProblem:
    before = data[: error.start]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    what = f"the file is not UTF-8 text: byte 0x{data[error.start]:02x}"
    return YamlProblem(what, line, column, fix="save it as UTF-8 in your editor")


class _Builder:
    """Builds the tree from the events of the parser, which know more than its nodes do."""

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
            self.document.problems.append(_report_syntax(error, text))
        except YAMLError as error:
            self.document.problems.append(_report_unreadable_character(error, text))
        except RecursionError:
            self.document.problems.append(YamlProblem("the file is nested too deeply"))
        return self.document

    def _problem(self, what: str, spot: SourcePosition, fix: str | None = None) -> None:
        self.document.problems.append(YamlProblem(what, spot.line, spot.column, fix))

    def _stop(self, what: str, spot: SourcePosition, fix: str | None = None) -> None:
        self._problem(what, spot, fix)
        raise _Stop

    def _stream(self) -> None:
        documents = 0
        for event in self.events:
            name = type(event).__name__
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self._stop(
                        "the file holds more than one document",
                        _get_source_position(event.start_mark),
                        "remove the line --- and merge what follows it",
                    )
            elif name not in ("StreamStartEvent", "StreamEndEvent", "DocumentEndEvent"):
                self.document.root = self._node(event, 0)

    def _count(self, node: Node, spot: SourcePosition, amount: int = 1) -> Node:
        self.values += amount
        if self.values > MOST_VALUES:
            self._stop(
                f"the file expands to more than {MOST_VALUES} values",
                spot,
                "replace its aliases (*name) by their values, or remove them",
            )
        return node

    def _node(self, event: Any, depth: int) -> Node:
        name = type(event).__name__
        start, end = _get_source_position(event.start_mark), _get_source_position(event.end_mark)
        if depth > DEEPEST:
            self._stop(f"the file is nested more than {DEEPEST} deep", start)
        if name == "AliasEvent":
            return self._alias(event, start, end)
        tag = event.tag
        tagged = tag is not None and str(tag) not in ("", "!", "None")
        if tagged:
            self._problem(
                f"the tag {tag} is not supported", start, "remove it and write the plain value"
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
        names: dict[str, Node] = {}
        for event in self.events:
            if type(event).__name__ in ("SequenceEndEvent", "MappingEndEvent"):
                # The end event of a block collection is after its comments; its last value is
                # not, so its end counts.
                if node.flow:
                    node.end = _get_source_position(event.end_mark)
                break
            child = self._node(event, depth + 1)
            if node.kind == "list":
                node.items.append(child)
                node.end = child.end
                continue
            value = self._node(next(self.events), depth + 1)
            self._entry(node, child, value, names)
            node.end = value.end if value.end.index >= child.end.index else child.end

    def _entry(self, node: Node, key: Node, value: Node, names: dict[str, Node]) -> None:
        if key.kind != "scalar":
            self._stop("a name must be plain text, not a list or a map", key.start)
        if key.raw == "<<" and key.plain:
            sources = value.items if value.kind == "list" else [value]
            if any(source.kind != "map" for source in sources):
                self._stop("<< must be followed by an alias of a map", key.start)
        elif key.raw in names:
            first = names[key.raw].start.line
            self._problem(
                f"{key.raw} is set a second time; the first is in line {first}",
                key.start,
                "keep one of the two",
            )
        names.setdefault(key.raw, key)
        if value.kind == "scalar" and value.start.index == value.end.index:
            # The parser reports an empty value at the next token, which may be lines below. Its
            # place is right after the colon.
            colon = self.document.text.find(":", key.end.index) + 1
            column = key.end.column + colon - key.end.index
            value.start = value.end = SourcePosition(colon, key.end.line, column)
        node.entries.append((key, value))

    def _alias(self, event: Any, start: SourcePosition, end: SourcePosition) -> Node:
        anchor = self.anchors.get(event.anchor)
        if anchor is None:
            self._stop(
                f"the alias *{event.anchor} has no anchor &{event.anchor} before it",
                start,
                f"write &{event.anchor} before the value that is meant, or quote the *",
            )
        assert anchor is not None
        from dataclasses import replace

        alias = replace(anchor, start=start, end=end, alias=True)
        return self._count(alias, start, _count_nodes(anchor))


class _Stop(Exception):
    """Parsing cannot go on; the reason is the last problem of the document."""


def _count_nodes(node: Node) -> int:
    """Return how many values a node has once its aliases are expanded, up to the limit."""
    pending, count = [node], 0
    while pending and count <= MOST_VALUES:
        current = pending.pop()
        count += 1
        pending += current.items
        pending += [value for _, value in current.entries]
    return count


def _get_source_position(mark: Any) -> SourcePosition:
    return SourcePosition(mark.index, mark.line + 1, mark.column + 1)


# What the parser's messages begin with, and what is wrong in an admin's words, with the fix.
_SYNTAX = {
    "mapping values are not allowed": (
        "there is a second ':' in this line",
        "put quotes around the value, or a line break and spaces before it",
    ),
    "could not find expected ':'": (
        "there is a name without ':'",
        "write it as name: value, or as an item of a list, with a space after the dash; a secret "
        "with special characters needs quotes",
    ),
    "expected <block end>": (
        "this is not aligned with the lines above it",
        "indent it like its neighbours",
    ),
    "expected the node content": (
        "a value is missing here",
        "write one, or close the bracket",
    ),
    "expected ','": ("a bracket or brace is not closed", "close it"),
    "found character": ("no value can begin with this character", "quote it"),
    "found unexpected end of stream": ("a quote or a bracket is not closed", "close it"),
    "found undefined tag": ("this tag is not supported", "remove it"),
    "found unknown escape": (
        "YAML does not know this escape",
        "use single quotes, in which a backslash is only a backslash",
    ),
}


def _report_syntax(error: Any, text: str) -> YamlProblem:
    problem = str(error.problem or error.context or "it cannot be read")
    mark = error.problem_mark or error.context_mark
    if problem.startswith(("found unexpected end", "expected ','")) and error.context_mark:
        mark = error.context_mark  # the place where it was opened
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    line_text = text.splitlines()[mark.line] if mark and mark.line < len(text.splitlines()) else ""
    indent = line_text[: len(line_text) - len(line_text.lstrip())]
    if "\\t" in problem or "\t" in indent:
        tab = line_text.find("\t") + 1
        what = "there is a tab where only spaces are allowed"
        return YamlProblem(what, line, tab or column, fix="use spaces, two for each level")
    if problem.startswith("mapping values") and line_text.count(":") < 2:
        problem = "expected <block end>"
    for begins, (what, fix) in _SYNTAX.items():
        if problem.startswith(begins):
            return YamlProblem(what, line, column, fix)
    return YamlProblem(f"this is not YAML: {problem}", line, column)


def _report_unreadable_character(error: Any, text: str) -> YamlProblem:
    position = getattr(error, "position", None)
    if not isinstance(position, int):
        return YamlProblem(f"this is not YAML: {str(error).splitlines()[0]}")
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    character = getattr(error, "character", "")
    code = character if isinstance(character, int) else ord(character or "\0")
    what = f"the file has a character that YAML does not allow: U+{code:04X}"
    return YamlProblem(what, line, column, fix="remove it")
