"""Edits of a YAML text that change no other character of it.

An edit cuts and inserts text at the places that the tree knows. Then it parses the result and
compares it with the expected values; an edit with any other result is refused. So comments, order,
anchors, quoting and line ends survive. An edit that would replace a value of another kind, such
as a list by a section, is refused, too.

Places in errors are places in the text, in a file `FILE`; the caller knows its name.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, Place, TljhError
from tljh.settings.keys import format_key
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_text import INDENT, format_block, format_flow, format_scalar
from tljh.settings.yaml_tree import Node

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath

FILE = "config.yaml"


def set_value(text: str, path: KeyPath, value: Any) -> str:
    """Set the value at a path, and create the sections above it."""
    editor = _Editor(text)
    editor.refuse_other_kinds(path)
    expected = _load_plain(text)
    _set_at(expected, path, value)
    return _checked(editor.set(path, value), expected, path, text)


def unset_value(text: str, path: KeyPath) -> str:
    """Remove the value at a path, and the sections that become empty by that."""
    editor = _Editor(text)
    editor.refuse_other_kinds(path)
    expected = _load_plain(text)
    _remove_at(expected, path)
    while len(path) > 1 and _get(expected, path[:-1]) == {}:
        path = path[:-1]
        _remove_at(expected, path)
    return _checked(editor.unset(path), expected, path, text)


def add_item(text: str, path: KeyPath, item: Any) -> str:
    """Add an item at the end of a list; a missing list is created."""
    editor = _Editor(text)
    editor.refuse_other_kinds(path, at_end="list")
    expected = _load_plain(text)
    current = _get(expected, path)
    items = [*current, item] if isinstance(current, list) else [item]
    _set_at(expected, path, items)
    return _checked(editor.add_item(path, item, items), expected, path, text)


def remove_item(text: str, path: KeyPath, index: int) -> str:
    """Remove an item of a list."""
    expected = _load_plain(text)
    items = _get(expected, path)
    del items[index]
    return _checked(_Editor(text).remove_item(path, index, items), expected, path, text)


def _load_plain(text: str) -> dict[str, Any]:
    root = parse(text).root
    return copy.deepcopy(root.value()) if root is not None and root.kind == "map" else {}


def _get(values: Any, path: KeyPath) -> Any:
    for step in path:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def _set_at(values: dict[str, Any], path: KeyPath, value: Any) -> None:
    for step in path[:-1]:
        below = values.get(str(step))
        values[str(step)] = dict(below) if isinstance(below, dict) else {}
        values = values[str(step)]
    values[str(path[-1])] = value


def _remove_at(values: dict[str, Any], path: KeyPath) -> None:
    parent = _get(values, path[:-1])
    parent.pop(path[-1], None)


def _checked(text: str, expected: Any, path: KeyPath, before: str) -> str:
    """Return the edited `text` if it holds exactly `expected`. Raises TljhError otherwise."""
    after = parse(text)
    problems_before = parse(before).problems
    if after.problems and problems_before:
        # They are in text that stays, for example a name that is used twice anywhere in the file.
        findings = [problem.as_finding(FILE) for problem in problems_before]
        raise TljhError([*findings, Finding("nothing was changed", fix="sudo tljh-config edit")])
    values = after.root.value() if after.root is not None and not after.root.is_null else {}
    if after.problems or _convert_exactly(values) != _convert_exactly(expected):
        raise _make_sharing_error(path)
    return text


def _make_sharing_error(path: KeyPath) -> TljhError:
    return TljhError(
        f"{format_key(path)} cannot be changed without changing something else in the file",
        why="its text is shared by an anchor (&name) or written in an unusual way",
        fix="change it by hand: sudo tljh-config edit",
    )


def _convert_exactly(value: Any) -> Any:
    """Return a value for comparisons that tell true from 1 and 1 from 1.0.

    Python's == takes them for equal.
    """
    if isinstance(value, dict):
        return {key: _convert_exactly(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_convert_exactly(item) for item in value]
    return (type(value).__name__, value)


class _Editor:
    """One edit of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = parse(text).root
        self.newline = "\r\n" if "\r\n" in text else "\n"

    def refuse_other_kinds(self, path: KeyPath, at_end: str | None = None) -> None:
        """Raise TljhError if an edit at `path` would replace a single value or a list by a section.

        With `at_end` (`map` or `list`), the value at the path itself must be of that kind.
        """
        node = self.root
        for depth in range(len(path) + 1):
            if node is None or node.is_null:
                return
            kind = "map" if depth < len(path) else at_end
            if kind is not None and node.kind != kind:
                raise self._other_kind(path[:depth], path, node, kind)
            pair = node.get(path[depth]) if depth < len(path) else None
            node = pair[1] if pair else None

    def _other_kind(self, place: KeyPath, path: KeyPath, node: Node, kind: str) -> TljhError:
        nouns = {"map": "names with values", "list": "a list", "scalar": "a single value"}
        name = format_key(place) if place else "the file"
        return TljhError(
            f"{name} must hold {nouns[kind]}, but holds {nouns[node.kind]}",
            where=Place(FILE, node.start.line, node.start.column),
            why=f"changing {format_key(path)} would remove the current value; nothing was changed",
            fix="correct it: sudo tljh-config edit",
        )

    def set(self, path: KeyPath, value: Any) -> str:
        if self.root is None or self.root.kind != "map":
            return self._append_to_root(path, value)
        holder = self._shared_ancestor(path)
        if holder is not None:
            # Below an alias or a merge: other places share the value, so it stays as it is and this
            # place gets its own copy.
            whole = {"": copy.deepcopy(self._value_at(holder))}
            _set_at(whole, ("", *path[len(holder) :]), value)
            return self.set(holder, whole[""])
        key, node, depth = self.root.find(path)
        if depth == len(path) and isinstance(value, list):
            return self._set_list(path, key, node, value)
        if depth == len(path):
            return self._replace(path, key, node, value)
        rest = value
        for step in reversed(path[depth + 1 :]):
            rest = {step: rest}
        if node.kind != "map":
            return self._replace(path[:depth], key, node, {path[depth]: rest})
        return self._insert(node, str(path[depth]), rest)

    def unset(self, path: KeyPath) -> str:
        assert self.root is not None
        holder = self._shared_ancestor(path)
        if holder is not None:
            whole = {"": copy.deepcopy(self._value_at(holder))}
            _remove_at(whole, ("", *path[len(holder) :]))
            return self.set(holder, whole[""])
        _, parent, _ = self.root.find(path[:-1])
        name = str(path[-1])
        if any(source.get(name) for source in parent.merged()):
            # A merge (<<) sets it, too, so this place gets its own copy without it.
            if len(path) == 1:
                raise _make_sharing_error(path)
            rest = copy.deepcopy(parent.value())
            rest.pop(name)
            return self.set(path[:-1], rest)
        position = [key.raw for key, _ in parent.entries].index(name)
        key, node = parent.entries[position]
        if parent.flow:
            places = [(k.start.index, v.end.index) for k, v in parent.entries]
            return self._cut_from_flow(places, position)
        return self._cut_lines(key.start.index, max(self._end(node), key.end.index))

    def add_item(self, path: KeyPath, item: Any, items: list[Any]) -> str:
        node = self._own_list(path)
        if node is None or not node.items:
            return self.set(path, items)
        last = node.items[-1]
        if node.flow:
            return self._splice(last.end.index, last.end.index, f", {format_flow(item)}")
        indent = " " * (node.start.column - 1)
        return self._insert_lines(last.end.index, [f"{indent}- {format_flow(item)}"])

    def remove_item(self, path: KeyPath, index: int, items: list[Any]) -> str:
        node = self._own_list(path)
        if node is None or not items:
            return self.set(path, items)
        places = [(item.start.index, item.end.index) for item in node.items]
        if node.flow:
            return self._cut_from_flow(places, index)
        return self._cut_lines(*places[index])

    def _own_list(self, path: KeyPath) -> Node | None:
        """Return the list at a path; None if there is none, or if an alias shares it."""
        if self.root is None or self._shared_ancestor(path) is not None:
            return None
        _, node, depth = self.root.find(path)
        is_list = depth == len(path) and node.kind == "list" and not node.alias
        return node if is_list else None

    def _value_at(self, path: KeyPath) -> Any:
        assert self.root is not None
        return self.root.find(path)[1].value()

    def _shared_ancestor(self, path: KeyPath) -> KeyPath | None:
        """Return the path to the first alias or merged map (<<) on the way; None without one."""
        node = self.root
        for depth, step in enumerate(path[:-1], start=1):
            if node is None or node.kind != "map":
                return None
            pair = node.get(step)
            if pair is None:
                return None
            below = pair[1]
            is_own = any(value is below for _, value in node.entries)
            if below.alias or not is_own:
                return path[:depth]
            node = below
        return None

    def _set_list(self, path: KeyPath, key: Node, node: Node, value: list[Any]) -> str:
        """Replace a list; items that stay keep their comments."""
        own = self._own_list(path)
        starts = [item.start.index for item in own.items] if own else []
        is_plain = all(
            self.text[self._line_start(start) : start].strip() == "-" for start in starts
        )
        kept: list[Any] = []
        removed: list[Node] = []
        for item in own.items if own else ():
            following = value[len(kept) : len(kept) + 1]
            if following and _convert_exactly(following[0]) == _convert_exactly(item.value()):
                kept.append(item)
            else:
                removed.append(item)
        if own is None or own.flow or not kept or not is_plain:
            return self._replace(path, key, node, value)
        indent = " " * (own.start.column - 1)
        lines = [f"{indent}- {format_flow(item)}" for item in value[len(kept) :]]
        if lines:
            self.text = self._insert_lines(own.items[-1].end.index, lines)
        # From the last to the first, so that the places of the earlier ones stay true.
        for item in reversed(removed):
            self.text = self._cut_lines(item.start.index, self._end(item))
        return self.text

    def _end(self, node: Node) -> int:
        """Return the index after a value in the text, before blank lines after a text block (|)."""
        return node.start.index + len(self.text[node.start.index : node.end.index].rstrip())

    def _replace(self, path: KeyPath, key: Node, node: Node, value: Any) -> str:
        assert self.root is not None
        _, parent, _ = self.root.find(path[:-1])
        if not any(value_node is node for _, value_node in parent.entries):
            return self._insert(parent, str(path[-1]), value)
        start, end = node.start.index, self._end(node)
        old = self.text[start:end]
        is_collection = isinstance(value, (dict, list)) and bool(value)
        if is_collection and not parent.flow and not node.flow:
            return self._replace_by_block(key, node, value)
        new = format_flow(value)
        if isinstance(value, str) and old[:1] in "'\"" and old:
            new = format_scalar(value, style=old[0])
        if not node.flow and node.kind != "scalar":
            # A block list becomes [] or a word, which belongs on the line of its name.
            text = self._cut_lines(start, end)
            colon = text.index(":", key.end.index) + 1
            return text[:colon] + f" {new}" + text[colon:]
        if self.text[start - 1 : start] == ":":
            new = f" {new}"
        return self._splice(start, end, new)

    def _replace_by_block(self, key: Node, node: Node, value: Any) -> str:
        indent = " " * (key.start.column - 1)
        start, end = node.start.index, self._end(node)
        if node.kind != "scalar" and not node.alias and node.start.line > key.start.line:
            line = self._line_start(start)
            own = self.text[line:start]
            lines = format_block(value, own if not own.strip() else indent + INDENT)
            return self._splice(line, end, self.newline.join(lines))
        cut = self.text[:start].rstrip(" ") + self.text[end:]
        editor = _Editor.__new__(_Editor)
        editor.text, editor.root, editor.newline = cut, None, self.newline
        colon = cut.index(":", key.end.index)
        return editor._insert_lines(colon, format_block(value, indent + INDENT))

    def _insert(self, parent: Node, name: str, value: Any) -> str:
        if parent.flow:
            new = f"{format_scalar(name)}: {format_flow(value)}"
            if not parent.entries:
                inside = parent.end.index - 1
                return self._splice(inside, inside, new)
            end = parent.entries[-1][1].end.index
            return self._splice(end, end, f", {new}")
        key, last = parent.entries[-1]
        indent = " " * (parent.entries[0][0].start.column - 1)
        return self._insert_lines(
            max(last.end.index, key.end.index), format_block({name: value}, indent)
        )

    def _append_to_root(self, path: KeyPath, value: Any) -> str:
        for step in reversed(path):
            value = {step: value}
        text = self.text
        if self.root is not None:  # an empty document written as null
            text = text[: self.root.start.index] + text[self.root.end.index :]
        if text and not text.endswith("\n"):
            text += self.newline
        return text + "".join(line + self.newline for line in format_block(value))

    def _line_start(self, index: int) -> int:
        return self.text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        """Return the index after the line break of the line in which a value ends at `index`."""
        if index and self.text[index - 1] == "\n":
            return index
        line_break = self.text.find("\n", index)
        return len(self.text) if line_break < 0 else line_break + 1

    def _splice(self, start: int, end: int, new: str) -> str:
        return self.text[:start] + new + self.text[end:]

    def _insert_lines(self, after: int, lines: list[str]) -> str:
        place = self._line_end(after)
        new = "".join(line + self.newline for line in lines)
        if place and self.text[place - 1] != "\n":
            new = self.newline + new
        return self._splice(place, place, new)

    def _cut_lines(self, start: int, end: int) -> str:
        return self._splice(self._line_start(start), self._line_end(end), "")

    def _cut_from_flow(self, places: list[tuple[int, int]], position: int) -> str:
        start, end = places[position]
        if position + 1 < len(places):
            end = places[position + 1][0]
        elif position:
            start = places[position - 1][1]
        return self._splice(start, end, "")
