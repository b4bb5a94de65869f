"""Redaction: the configuration for display, with every secret in it hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.yaml_tree import Document, Node

HIDDEN = "********"


_SECRET_WORDS = ("secret", "password", "token", "private_key", "api_key", "crypt_key", "cookie")


_NOT_SECRET = ("_url", "_file", "_path", "_lifetime", "_expires", "_age", "_length", "_days", "_in")


# user:password@ in a URL
_CREDENTIALS = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)(?=@)")


def looks_secret(name: str) -> bool:
    """Return whether a setting or trait of this name holds a secret.

    The catalogue of traits does not mark secrets, so the name decides.
    """
    return any(word in name for word in _SECRET_WORDS) and not name.endswith(_NOT_SECRET)


def is_secret(path: KeyPath, value: Any) -> bool:
    """Return whether the value at `path` must be hidden.

    Names decide for the schema's secrets, too (a test compares them): so secrets stay hidden in
    a file that is wrong, and in sections that are not checked.
    """
    if not path or isinstance(value, bool) or value in (None, ""):
        return False
    names = [str(step) for step in path if isinstance(step, str)]
    # auth.X.client_secret: {file: /path} names the file of the secret, not the secret.
    if len(names) > 1 and names[-1] == "file" and looks_secret(names[-2]):
        return False
    return bool(names) and looks_secret(names[-1])


def hidden(value: Any, path: KeyPath = ()) -> Any:
    """Return `value` with every secret in it replaced."""
    if isinstance(value, dict):
        return {key: hidden(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [hidden(inner, (*path, index)) for index, inner in enumerate(value)]
    if is_secret(path, value):
        return HIDDEN
    return _without_credentials(value) if isinstance(value, str) else value


def hidden_text(document: Document) -> str:
    """Return the text of a file, comments included, with every secret in it replaced."""
    text = document.text
    if document.root is None:
        return text
    # From the last to the first, so that the places of the earlier ones stay true.
    for node in sorted(_secret_nodes(document.root, ()), key=lambda node: -node.start.index):
        end = node.end.index
        # A block of several lines ends after its line break.
        line_break = "\n" if text[node.start.index : end].endswith("\n") else ""
        text = text[: node.start.index] + f"'{HIDDEN}'" + line_break + text[end:]
    return _without_credentials(text)


def _without_credentials(text: str) -> str:
    return _CREDENTIALS.sub(rf"\1:{HIDDEN}", text)


def _secret_nodes(node: Node, path: KeyPath) -> Iterator[Node]:
    if node.alias:
        return
    for key, inner in node.entries:
        yield from _secret_nodes(inner, (*path, key.raw))
    for index, item in enumerate(node.items):
        yield from _secret_nodes(item, (*path, index))
    if node.kind == "scalar" and is_secret(path, node.value()):
        yield node
