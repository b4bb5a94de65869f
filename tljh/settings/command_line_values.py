"""Values from the command line, read by the type of their setting, never guessed."""

from __future__ import annotations

import math
import re
from typing import Any

from tljh.base.errors import Exit, TljhError
from tljh.settings.shape import ANYTHING, Shape
from tljh.settings.tree_values import TreeReader
from tljh.settings.yaml_parse import parse
from tljh.settings.yaml_tree import NULLS, WORDS_FOR_BOOL, Node

_INT = re.compile(r"^[-+]?[0-9]{1,40}$")


_NONE = ("none", "null", "~")


class NotReadable(ValueError):
    """A text that does not fit the shape; the message is the reason, or empty."""


def read_value(text: str, shape: Shape, key: str) -> Any:
    """Return the value of `text` where `shape` is expected.

    A list takes YAML (`[a, b]`) or one item; a map takes YAML. Raises TljhError otherwise.
    """
    if not _is_text(text):
        raise TljhError(f"the value for {key} is not UTF-8 text", exit_code=Exit.USAGE)
    try:
        return _read(text, shape)
    except NotReadable as error:
        shown_text = "the given value" if shape.secret else f"the text {text!r}"
        raise TljhError(
            f"{key} must be {shape.description()}, not {shown_text}",
            why=str(error) or None,
            fix=f"see: tljh-config describe {key}",
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
        node = _node(text)
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
            raise NotReadable
        return WORDS_FOR_BOOL[word]
    if shape.kind == "int":
        if not _INT.match(text.strip()):
            raise NotReadable
        return int(text)
    if shape.kind == "number":
        return _number(text)
    if shape.kind == "list":
        return _list(text, shape)
    if shape.kind in ("map", "section"):
        node = _node(text)
        if node is None or node.kind != "map":
            raise NotReadable("it must be YAML like {name: value}")
        return _ArgumentReader().value(node, shape)
    return _anything(text)


def _number(text: str) -> float | int:
    try:
        number = float(text)
    except ValueError:
        raise NotReadable from None
    if not math.isfinite(number) or "_" in text:
        raise NotReadable
    return int(text) if _INT.match(text.strip()) else number


def _list(text: str, shape: Shape) -> Any:
    inner = shape.item or ANYTHING
    if text.strip().lower() in _NONE:
        # As one item of a list of names it would allow a user of that name to log in.
        word = text.strip()
        raise NotReadable(f"an empty list is [], and a list with this word is ['{word}']")
    start = text.lstrip()[:2]
    if start[:1] == "[" or (start == "- " and "\n" in text):
        node = _node(text)
        if node is None or node.kind != "list":
            raise NotReadable("it begins like a YAML list, but is not one")
        return _ArgumentReader().value(node, shape)
    return [_read(text, inner)]


def _anything(text: str) -> Any:
    """Read YAML; what is not YAML is text."""
    node = _node(text)
    if node is None or (node.kind == "scalar" and node.plain and text.strip() != node.raw):
        return text
    return _ArgumentReader().value(node, ANYTHING)


def _node(text: str) -> Node | None:
    document = parse(text)
    return None if document.problems else document.root


class _ArgumentReader(TreeReader):
    """Reads YAML of an argument; a word for null is text where text is expected."""

    def scalar(self, node: Node, shape: Shape) -> Any:
        if node.plain and node.raw in NULLS and shape.kind == "text" and not shape.nullable:
            return node.raw
        return super().scalar(node, shape)
