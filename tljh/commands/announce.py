"""`tljh announce`: a text at the top of the hub's pages, without a restart."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from tljh.base.clock import get_utc_time
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import Argument, Option, Summary
from tljh.host.real import RealHost
from tljh.operations.announcements import (
    parse_end,
    read_announcement,
    remove_announcement,
    write_announcement,
)


def announce(
    text: Annotated[str, Argument("TEXT", "The announcement; without it, the current one.")] = "",
    *,
    until: Annotated[
        str | None, Option("--until", "When it ends: 18:00, 2h, friday or a date.", "TIME")
    ] = None,
    remove: Annotated[bool, Option("--remove", "Remove the announcement.")] = False,
) -> Summary:
    """Show a text at the top of all pages of the hub at once; nothing restarts."""
    host, paths = RealHost(), get_paths()
    if remove and (text or until):
        raise TljhError("--remove takes no text and no --until", exit_code=Exit.USAGE)
    if remove:
        was_shown = remove_announcement(host, paths)
        line = "the announcement is removed" if was_shown else "there was no announcement"
        return Summary((line,), {"text": None, "until": None})
    if not text:
        if until is not None:
            raise TljhError("--until needs a text", exit_code=Exit.USAGE)
        current = read_announcement(host, paths)
        if current is None:
            line = "nothing is announced; to announce something: sudo tljh announce TEXT"
            return Summary((line,), {"text": None, "until": None})
        return _summarize(current.text, current.until)
    end = parse_end(until, get_utc_time()) if until is not None else None
    write_announcement(host, paths, text, end)
    return _summarize(text, end)


def _summarize(text: str, until: datetime | None) -> Summary:
    end = f"until {until.astimezone():%Y-%m-%d %H:%M %Z}" if until else "until it is removed"
    return Summary(
        (f"all pages show {end}: {text}", "to remove it: sudo tljh announce --remove"),
        {"text": text, "until": until.isoformat() if until else None},
    )
