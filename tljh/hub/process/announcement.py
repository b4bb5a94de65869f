"""The announcement on the hub's pages, such as a reboot that is due."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

MOST_CHARACTERS = 1000


def add_announcement(template_vars: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the variables of all pages, with the text of a file before the admin's announcement.

    The file is read for each page: a command writes and removes it while the hub runs.
    """
    others = template_vars.get("announcement", "")

    def announce(user: Any) -> str:
        text = others(user) if callable(others) else others
        try:
            announced = path.read_text(errors="replace")[:MOST_CHARACTERS].strip()
        except OSError:
            return str(text)
        # The template takes it as HTML.
        return "<br>".join(part for part in (html.escape(announced), str(text)) if part)

    function: Callable[[Any], str] = announce
    return {**template_vars, "announcement": function}
