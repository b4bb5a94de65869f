"""A view of the machine without some files, for a plan that replaces them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from tljh.host.interface import HostReader


class _HidingReader:
    def __init__(self, host: HostReader, hidden: Collection[Path]) -> None:
        self._host = host
        self._hidden = hidden

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        if path in self._hidden:
            return None
        return self._host.read(path, most_bytes=most_bytes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def hide_files(host: HostReader, hidden: Collection[Path]) -> HostReader:
    """Return a reader that finds none of the files in `hidden`, and all else as it is."""
    return cast("HostReader", _HidingReader(host, hidden)) if hidden else host
