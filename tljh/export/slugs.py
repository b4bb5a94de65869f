"""Names of Kubernetes objects for users, as KubeSpawner 7 makes them from login names."""

from __future__ import annotations

import hashlib
import re

# What {username} and {user_server} take at most.
LONGEST = 48
# In {user_server}, `--` and the name of the server follow, also where that is empty.
LONGEST_WITH_SERVER = LONGEST - len("--")
_DIGITS = 8

_VALID = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


def make_slug(login: str) -> str:
    """Return what KubeSpawner puts in the place of `{username}`."""
    if "--" not in login and len(login) <= LONGEST and _VALID.fullmatch(login):
        return login
    return f"{_simplify(login, LONGEST - len('---') - _DIGITS)}---{_digest(login.encode())}"


def make_server_slug(login: str) -> str:
    """Return what KubeSpawner puts in the place of `{user_server}` for a server without a name."""
    slug = make_slug(login)
    if len(slug) <= LONGEST_WITH_SERVER:
        return slug
    # Two names share the room: the login name, and the empty one of the server, which becomes x.
    room = (LONGEST - _DIGITS - len("-")) // 2 - len("--")
    return f"{_simplify(login, room)}--x---{_digest(login.encode() + bytes([255]))}"


def _simplify(name: str, length: int) -> str:
    """Return lower case letters, digits and single dashes, a letter first."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower())
    text = text.lstrip("-")[:length].rstrip("-")
    if text and not text[0].isalpha():
        return f"x-{text[: length - 2]}"
    return text or "x"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:_DIGITS]
