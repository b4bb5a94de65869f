"""The applied settings of a plugin, as its hooks in the hub read them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tljh.base.path_groups import AppliedFiles
from tljh.base.paths import get_paths
from tljh.plugins.selection import parse_selection

_replacements: list[Mapping[str, Any]] = []


def read_settings(section: str) -> dict[str, Any]:
    """Return the applied values of a section that a plugin declares, defaults included.

    In a trial of a configuration, they are those that are tried.
    """
    if _replacements:
        return dict(_replacements[-1].get(section, {}))
    candidate = os.environ.get("TLJH_APPLIED")
    files = AppliedFiles(Path(candidate)) if candidate else get_paths().applied
    data = files.plugins.read_bytes() if files.plugins.is_file() else None
    return dict(parse_selection(data).settings.get(section, {}))


@contextlib.contextmanager
def replaced_settings(values: Mapping[str, Any]) -> Iterator[None]:
    """Take these values for the applied ones during the block, in a plugin's tests."""
    _replacements.append(values)
    try:
        yield
    finally:
        _replacements.pop()
