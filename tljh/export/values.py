"""The values of the chart in two trees, of which one holds the secrets, and their text as YAML."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

Tree = dict[str, Any]
ValuePath = tuple[str, ...]

# A key or a text like this is the same text for every version of YAML.
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_NO_TEXTS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}
# Lines that a block of YAML holds as they are; a first line with an indentation needs a hint.
_LINES = re.compile(r"[!-~][ -~\n]*[^\n]\n")


@dataclass
class Values:
    """Values by their path in the chart, and sentences for the report.

    `decisions` are what an admin has to do or decide before the chart is installed; `notes` belong
    to a setting, by its key.
    """

    plain: Tree = field(default_factory=dict)
    secret: Tree = field(default_factory=dict)
    decisions: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    def put(self, path: str | ValuePath, value: Any, *, is_secret: bool = False) -> None:
        """Set a value; a text with dots is a path without dots in its names."""
        tree = self.secret if is_secret else self.plain
        *parents, last = path.split(".") if isinstance(path, str) else path
        for name in parents:
            tree = tree.setdefault(name, {})
        tree[last] = value

    def find(self, path: str | ValuePath) -> Any:
        """Return the value at a path of the tree without secrets; None where there is none."""
        tree: Any = self.plain
        for name in path.split(".") if isinstance(path, str) else path:
            tree = tree.get(name) if isinstance(tree, Mapping) else None
        return tree

    def list_paths(self) -> Iterator[ValuePath]:
        """Yield the path of each value of both trees."""
        yield from list_leaves(self.plain)
        yield from list_leaves(self.secret)


def list_leaves(tree: Mapping[str, Any], above: ValuePath = ()) -> Iterator[ValuePath]:
    """Yield the path of each value that is not a map, or is an empty one."""
    for name, value in tree.items():
        if isinstance(value, Mapping) and value:
            yield from list_leaves(value, (*above, str(name)))
        else:
            yield (*above, str(name))


def format_yaml(tree: Mapping[str, Any], heading: str) -> str:
    """Return a tree as YAML that all its versions read alike: every text is quoted."""
    writer = YAML()
    writer.width = 1 << 16
    writer.allow_unicode = True
    stream = io.StringIO()
    writer.dump(_quote(tree), stream)
    return heading + stream.getvalue()


def _quote(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_quote_key(str(key)): _quote(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_quote(inner) for inner in value]
    if isinstance(value, str):
        # A block of lines, such as a certificate or a program, can be read and pasted.
        if "\n" in value[:-1] and _LINES.fullmatch(value):
            return LiteralScalarString(value)
        return DoubleQuotedScalarString(value)
    return value


def _quote_key(key: str) -> Any:
    if _PLAIN_KEY.fullmatch(key) and key.lower() not in _NO_TEXTS:
        return key
    return DoubleQuotedScalarString(key)
