"""Which files the proxy may publish: those that only root can have put there."""

from __future__ import annotations


def is_open(owner: str, group: str, mode: int) -> bool:
    """Return whether an account other than root could replace or fill a file or directory."""
    return owner != "root" or bool(mode & 0o002) or (bool(mode & 0o020) and group != "root")
