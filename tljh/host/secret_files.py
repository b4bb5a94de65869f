"""Secrets in files that only root can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from tljh.host.interface import HostReader


def read_token(host: HostReader, path: Path) -> str | None:
    """Return the secret in a file; None where there is none."""
    return (host.read(path) or b"").decode(errors="replace").strip() or None


def read_or_make_secret(host: HostReader, path: Path, size_bytes: int = 32) -> str:
    """Return the secret in a file, or a new random one of `size_bytes`, in hexadecimal."""
    return read_token(host, path) or secrets.token_hex(size_bytes)
