"""Values from the command line, read by the type of their setting, never guessed."""

from __future__ import annotations

import math
import re
from shlex import quote
from typing import Any

from tljh.base.errors import Exit, TljhError
from tljh.settings.shape import ANYTHING, Shape
from tljh.settings.tree_values import TreeReader
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_tree import NULLS, WORDS_FOR_BOOL, Node

_INT = re.compile(r"^[-+]?[0-9]{1,40}$")


_NONE = ("none", "null", "~")


class UnreadableValue(ValueError):
    """A text that does not fit the shape; the message is the reason, or empty."""


def read_value(text: str, shape: Shape, key: str) -> Any:
    """Parse a value of the command line, by the type (`shape`) of the setting `key`.

    A list takes YAML (`[a, b]`) or one item; a map takes YAML. Raises TljhError for a text that
    does not fit.
    """
    if not _is_text(text):
        raise TljhError(f"the value for {key} is not UTF-8 text", exit_code=Exit.USAGE)
    try:
        return _read(text, shape)
    except UnreadableValue as error:
        shown_text = "the given value" if shape.secret else f"the text {text!r}"
        raise TljhError(
            f"{key} must be {shape.describe()}, not {shown_text}",
            why=str(error) or None,
            fix=f"see: tljh-config describe {quote(key)}",
        ) from None


def read_item(text: str, shape: Shape, key: str) -> Any:
    """Parse one item of the list setting `key`; `shape` is that of the list."""
    return read_value(text, shape.item or ANYTHING, key)


def _is_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read(text: str, shape: Shape) -> Any:
    if shape.may_be_file and text.lstrip()[:1] == "{":
        node = _parse_one_node(text)
        if (
            node is not None
            and node.kind == "map"
            and [key.raw for key, _ in node.pairs()] == ["file"]
        ):
            return _ArgumentReader().value(node, Shape("map", item=Shape("text")))
    if shape.nullable and text.lower() in _NONE and shape.kind != "any":
        return None
    if shape.kind == "text":
        return text
    if shape.kind == "bool":
        word = text.strip().lower()
        if word not in WORDS_FOR_BOOL:
            raise UnreadableValue
        return WORDS_FOR_BOOL[word]
    if shape.duration and not isinstance(shape.duration.read(text), str):
        # The file keeps what was typed: 2h says more than 7200.
        return text.strip()
    if shape.kind == "int":
        if not _INT.match(text.strip()):
            raise UnreadableValue
        return int(text)
    if shape.kind == "number":
        return _read_number(text)
    if shape.kind == "list":
        return _read_list(text, shape)
    if shape.kind in ("map", "section"):
        node = _parse_one_node(text)
        if node is None or node.kind != "map":
            raise UnreadableValue("it must be YAML like {name: value}")
        return _ArgumentReader().value(node, shape)
    return _read_any_value(text)


def _read_number(text: str) -> float | int:
    try:
        number = float(text)
    except ValueError:
        raise UnreadableValue from None
    if not math.isfinite(number) or "_" in text:
        raise UnreadableValue
    return int(text) if _INT.match(text.strip()) else number


def _read_list(text: str, shape: Shape) -> Any:
    inner = shape.item or ANYTHING
    if text.strip().lower() in _NONE:
        # As one item of a list of names it would allow a user of that name to log in.
        word = text.strip()
        raise UnreadableValue(f"an empty list is [], and a list with this word is ['{word}']")
    start = text.lstrip()[:2]
    if start[:1] == "[" or (start == "- " and "\n" in text):
        node = _parse_one_node(text)
        if node is None or node.kind != "list":
            raise UnreadableValue("it begins like a YAML list, but is not one")
        return _ArgumentReader().value(node, shape)
    return [_read(text, inner)]


def _read_any_value(text: str) -> Any:
    """Parse a text as YAML; a text that is not valid YAML is the value itself."""
    node = _parse_one_node(text)
    if node is None or (node.kind == "scalar" and node.plain and text.strip() != node.raw):
        return text
    return _ArgumentReader().value(node, ANYTHING)


def _parse_one_node(text: str) -> Node | None:
    document = parse(text)
    return None if document.problems else document.root


class _ArgumentReader(TreeReader):
    """Reads YAML of an argument; a word for null is text where text is expected."""

    def scalar(self, node: Node, shape: Shape) -> Any:
        if node.plain and node.raw in NULLS and shape.kind == "text" and not shape.nullable:
            return node.raw
        return super().scalar(node, shape)
