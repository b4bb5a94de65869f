"""Plain values of a YAML tree, each unquoted word read by the shape of its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tljh.settings.shape import ANYTHING, Shape
from tljh.settings.yaml_tree import NULLS, WORDS_FOR_BOOL, Node, resolve

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath


class AbsentValue:
    """A value that counts as not written."""


ABSENT = AbsentValue()


class TreeReader:
    """The one walk of a YAML tree along the shapes; what a file refuses is in `FileReader`."""

    def value(self, node: Node, shape: Shape, path: KeyPath = ()) -> Any:
        """Return the plain value of a node."""
        if node.kind == "map":
            return self.entries(node, shape, path)
        if node.kind == "list":
            inner = shape.item or ANYTHING
            items = [self.value(item, inner, (*path, i)) for i, item in enumerate(node.items)]
            # An empty item still counts: the positions of the others must stay true.
            return [None if item is ABSENT else item for item in items]
        return self.scalar(node, shape)

    def entries(self, node: Node, shape: Shape, path: KeyPath) -> dict[str, Any]:
        """Return the values of a map or a section by their names, without absent ones."""
        values = {
            key.raw: self.entry(child, shape, (*path, key.raw)) for key, child in node.pairs()
        }
        return {name: value for name, value in values.items() if value is not ABSENT}

    def entry(self, node: Node, above: Shape, path: KeyPath) -> Any:
        """Return the value at `path`, in a map or section of the shape `above`."""
        return self.value(node, above.at(path[-1]) or ANYTHING, path)

    def scalar(self, node: Node, shape: Shape) -> Any:
        return plain_value(node.raw, shape) if node.plain else node.raw


def plain_value(raw: str, shape: Shape) -> Any:
    """Return the value of an unquoted word where `shape` is expected."""
    if shape.kind == "text" and raw not in NULLS:
        return raw
    if shape.kind == "bool" and raw.lower() in WORDS_FOR_BOOL:
        return WORDS_FOR_BOOL[raw.lower()]
    return resolve(raw)
