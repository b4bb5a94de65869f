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
        """Return the values of a map or section by their names; absent ones are left out."""
        values = {
            key.raw: self.entry(child, shape, (*path, key.raw)) for key, child in node.pairs()
        }
        return {name: value for name, value in values.items() if value is not ABSENT}

    def entry(self, node: Node, above: Shape, path: KeyPath) -> Any:
        """Return the value at `path` of a map or section; `above` is the shape of that."""
        return self.value(node, above.find_child(path[-1]) or ANYTHING, path)

    def scalar(self, node: Node, shape: Shape) -> Any:
        return parse_plain(node.raw, shape) if node.plain else node.raw


def parse_plain(raw: str, shape: Shape) -> Any:
    """Return the value that YAML's unquoted word `raw` is for a setting of this shape."""
    if shape.kind == "text" and raw not in NULLS:
        return raw
    if shape.kind == "bool" and raw.lower() in WORDS_FOR_BOOL:
        return WORDS_FOR_BOOL[raw.lower()]
    return resolve(raw)
