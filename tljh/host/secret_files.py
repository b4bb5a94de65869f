"""Secret files."""

from __future__ import annotations

import secrets
from pathlib import Path

from tljh.host.interface import HostReader


def read_token(host: HostReader, path: Path) -> str | None:
    """A secret that is there already; None where it is not."""
    return (host.read(path) or b"").decode(errors="replace").strip() or None


def _secret(host: HostReader, path: Path, size_bytes: int = 32) -> str:
    return read_token(host, path) or secrets.token_hex(size_bytes)
