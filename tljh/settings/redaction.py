"""Redaction: the configuration for display, with every secret in it hidden."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tljh.settings.declaration import KeyPath
    from tljh.settings.yaml_tree import Document, Node

HIDDEN = "********"


# The URL of a webhook is all that is needed to write to the chat.
_SECRET_WORDS = (
    *("secret", "password", "token", "private_key", "api_key", "crypt_key", "cookie"),
    "webhook",
)


_NOT_SECRET = ("_url", "_file", "_path", "_lifetime", "_expires", "_age", "_length", "_days", "_in")


# A map of this name has a secret at each of its names.
SECRET_MAP = "secrets"


# user:password@ in a URL
_CREDENTIALS = re.compile(r"(?<=://)([^/@\s:]*):([^/@\s]+)(?=@)")


# c.GitHubOAuthenticator.client_secret = "…", "client_secret": "…", os.environ["API_TOKEN"] = "…"
_ASSIGNMENT = re.compile(r"""(\w+)((?:["']\]?)?\s*[:=]\s*)(?!=)([^\n]*["'][^\n]*)""")


def looks_secret(name: str) -> bool:
    """Return whether a setting or trait holds a secret, by its name.

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
    return bool(names) and (looks_secret(names[-1]) or SECRET_MAP in names[:-1])


def redact(value: Any, path: KeyPath = ()) -> Any:
    """Return a value of config.yaml with every secret in it replaced by a fixed text."""
    if isinstance(value, dict):
        return {key: redact(inner, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [redact(inner, (*path, index)) for index, inner in enumerate(value)]
    if is_secret(path, value):
        return HIDDEN
    return _remove_credentials(value) if isinstance(value, str) else value


def redact_text(document: Document) -> str:
    """Return the text of config.yaml, comments included, with every secret in it replaced."""
    text = document.text
    if document.root is None:
        return text
    # From the last to the first, so that the places of the earlier ones stay true.
    for node in sorted(_find_secret_nodes(document.root, ()), key=lambda node: -node.start.index):
        end = node.end.index
        # A block of several lines ends after its line break.
        line_break = "\n" if text[node.start.index : end].endswith("\n") else ""
        text = text[: node.start.index] + f"'{HIDDEN}'" + line_break + text[end:]
    return _remove_credentials(text)


def redact_code(text: str) -> str:
    """Return the text of a program with what is assigned to names of secrets masked."""

    def mask(match: re.Match[str]) -> str:
        name, sign, value = match.groups()
        if looks_secret(name.lower()):
            return f"{name}{sign}{HIDDEN}"
        # The name of a secret may follow in the same line: dict(a="b", token="…").
        return f"{name}{sign}{_ASSIGNMENT.sub(mask, value)}"

    return _remove_credentials(_ASSIGNMENT.sub(mask, text))


def _remove_credentials(text: str) -> str:
    return _CREDENTIALS.sub(rf"\1:{HIDDEN}", text)


def _find_secret_nodes(node: Node, path: KeyPath) -> Iterator[Node]:
    if node.alias:
        return
    for key, inner in node.entries:
        yield from _find_secret_nodes(inner, (*path, key.raw))
    for index, item in enumerate(node.items):
        yield from _find_secret_nodes(item, (*path, index))
    if node.kind == "scalar" and is_secret(path, node.value()):
        yield node
