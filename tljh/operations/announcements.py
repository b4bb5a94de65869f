"""The announcement on the hub's pages: read, written and removed while the hub runs."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, timezone

from tljh.base.clock import get_utc_time
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.host.interface import Host, HostReader
from tljh.hub.announcement import Announcement, parse_announcement
from tljh.settings.value_types import Duration

MOST_CHARACTERS = 1000
_CLOCK = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def read_announcement(host: HostReader, paths: Paths) -> Announcement | None:
    """Return the announcement that the pages show now; None without one."""
    data = host.read(paths.announcement_file)
    announcement = parse_announcement(data) if data else None
    return announcement if announcement and announcement.is_shown(get_utc_time()) else None


def write_announcement(host: Host, paths: Paths, text: str, until: datetime | None) -> None:
    """Let all pages show a text from now on. Raises TljhError for one that they cannot show."""
    if host.info(paths.state_dir) is None:
        raise TljhError(f"no hub is installed at {paths.prefix}", fix="run the bootstrap first")
    if not text.strip() or len(text) > MOST_CHARACTERS:
        raise TljhError(
            f"the announcement must have 1 to {MOST_CHARACTERS} characters, not {len(text)}",
            exit_code=Exit.USAGE,
        )
    host.write(paths.announcement_file, Announcement(text.strip(), until).as_bytes(), mode=0o600)


def remove_announcement(host: Host, paths: Paths) -> bool:
    """Remove the announcement; return whether the pages showed one."""
    was_shown = read_announcement(host, paths) is not None
    host.remove(paths.announcement_file)
    return was_shown


def parse_end(text: str, start: datetime) -> datetime:
    """Return the time in UTC that `text` names, seen from `start`, in the machine's time zone.

    It is a duration (90m, 2h), a time (18:00), a weekday, a date, or a date with a time. Raises
    TljhError for anything else, and for a time that is past.
    """
    end = _parse_time(text.strip(), start.astimezone())
    if end is None:
        raise TljhError(
            f"--until does not take {text!r}",
            fix="write 18:00, 2h, friday, 2030-12-24 or '2030-12-24 18:00'",
            exit_code=Exit.USAGE,
        )
    if end <= start:
        raise TljhError(
            f"--until {text} is past: it is {start.astimezone():%Y-%m-%d %H:%M} on this machine",
            exit_code=Exit.USAGE,
        )
    return end.astimezone(timezone.utc)


def _parse_time(text: str, start: datetime) -> datetime | None:
    seconds = Duration(1).read(text)
    if not isinstance(seconds, str):
        return start + timedelta(seconds=seconds)
    if match := _CLOCK.match(text):
        at_time = time(int(match[1]), int(match[2]))
        end = datetime.combine(start.date(), at_time).astimezone()
        if end <= start:
            end = datetime.combine(start.date() + timedelta(days=1), at_time).astimezone()
        return end
    if text.lower() in _WEEKDAYS:
        days = (_WEEKDAYS.index(text.lower()) - start.weekday()) % 7
        # To the end of that day.
        return datetime.combine(start.date() + timedelta(days=days + 1), time()).astimezone()
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        return None
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        end += timedelta(days=1)
    return end.astimezone()
