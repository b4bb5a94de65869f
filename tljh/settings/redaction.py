"""The configuration as it may be shown: secrets hidden wherever they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tljh.settings.secret_names import looks_secret

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.yaml_tree import Document, Node

HIDDEN = "********"


_CREDENTIALS = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)(?=@)")


def is_secret(path: KeyPath, value: Any) -> bool:
    """Whether what stands at `path` must not be shown.

    Names decide, for the schema's own secrets too (a test holds it to that): so secrets stay
    hidden in a file that is wrong, and in sections that nobody checks.
    """
    if not path or isinstance(value, bool) or value in (None, ""):
        return False
    names = [str(step) for step in path if isinstance(step, str)]
    # auth.X.client_secret: {file: /path} tells where the secret is, not what it is.
    if len(names) > 1 and names[-1] == "file" and looks_secret(names[-2]):
        return False
    return bool(names) and looks_secret(names[-1])


def hidden(value: Any, path: KeyPath = ()) -> Any:
    """`value` with every secret in it replaced."""
    if isinstance(value, dict):
        return {key: hidden(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [hidden(inner, (*path, index)) for index, inner in enumerate(value)]
    if is_secret(path, value):
        return HIDDEN
    return _without_credentials(value) if isinstance(value, str) else value


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(rf"\1:{HIDDEN}", text)


def hidden_text(document: Document) -> str:
    """The file's own text, comments and all, with every secret in it replaced."""
    text = document.text
    if document.root is None:
        return text
    secrets = sorted(_secret_nodes(document.root, ()), key=lambda one: -one.start.index)
    for node in secrets:
        end = node.end.index
        # A block of several lines ends behind its line break.
        rest = "\n" if text[node.start.index : end].endswith("\n") else ""
        text = text[: node.start.index] + f"'{HIDDEN}'" + rest + text[end:]
    return _without_credentials(text)


def _secret_nodes(node: Node, path: KeyPath) -> Iterator[Node]:
    if node.alias:
        return
    for key, inner in node.entries:
        yield from _secret_nodes(inner, (*path, key.raw))
    for index, item in enumerate(node.items):
        yield from _secret_nodes(item, (*path, index))
    if node.kind == "scalar" and is_secret(path, node.value()):
        yield node
