"""The announcements on the hub's pages: of `tljh announce`, and of a reboot that is due."""

from __future__ import annotations

import contextlib
import html
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tljh.base.clock import get_utc_time
from tljh.hub.announcement import parse_announcement

MOST_CHARACTERS = 1000


def add_announcement(
    template_vars: Mapping[str, Any], reboot_file: Path, file: Path
) -> dict[str, Any]:
    """Return the variables of all pages, with the announcements of commands before the admin's.

    The files are read for each page: commands write and remove them while the hub runs.
    """
    others = template_vars.get("announcement", "")

    def announce(user: Any) -> str:
        text = others(user) if callable(others) else others
        announced = [
            html.escape(each).replace("\n", "<br>") for each in _read_texts(reboot_file, file)
        ]
        # The template takes it as HTML.
        return "<br>".join(part for part in (*announced, str(text)) if part)

    function: Callable[[Any], str] = announce
    return {**template_vars, "announcement": function}


def _read_texts(reboot_file: Path, file: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield reboot_file.read_text(errors="replace")[:MOST_CHARACTERS].strip()
    try:
        announcement = parse_announcement(file.read_bytes())
    except OSError:
        return
    if announcement is not None and announcement.is_shown(get_utc_time()):
        yield announcement.text[:MOST_CHARACTERS].strip()
