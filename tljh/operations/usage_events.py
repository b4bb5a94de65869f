"""What systemd and the hub logged since a place in the journal: starts, failed starts, kills."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from tljh.base.account_names import PREFIX, make_unit_name
from tljh.base.well_known import HUB_UNIT
from tljh.host.accounts import FIRST_USER_UID, get_login
from tljh.host.interface import HostReader
from tljh.operations.failed_starts import find_failed_user

# Of systemd: a unit was started; the kernel killed a process of a unit for want of memory.
STARTED = "39f53479d3a045ac8e11786248231fbf"
OUT_OF_MEMORY = "fe6faa94e7774663a0da52717891d8ef"
# One failed start can have more than one line.
SAME_FAILURE_S = 10
JOURNAL_TIMEOUT_S = 60

Kind = Literal["start", "failed start", "kill"]


@dataclass(frozen=True)
class UsageEvent:
    """Something that happened to a user's server, at a time in Unix seconds."""

    kind: Kind
    login: str
    time_s: int

    @property
    def day(self) -> str:
        return get_local_day(self.time_s)


def get_local_day(time_s: float) -> str:
    """Return the local date of a time, as 2026-03-31."""
    return datetime.fromtimestamp(time_s).date().isoformat()


def map_units(host: HostReader) -> dict[str, str]:
    """Return the login name of each account by the name of its unit, without the ending."""
    return {
        _strip(make_unit_name(user.name)): get_login(user)
        for user in host.all_users()
        if user.uid >= FIRST_USER_UID
    }


def _strip(unit: str) -> str:
    # A named server's name follows two dashes, which no account's part has.
    return unit.removesuffix(".service").partition("--")[0]


def read_events(
    host: HostReader, cursor: str, logins: Mapping[str, str]
) -> tuple[list[UsageEvent], str]:
    """Return the events after a cursor of the journal, and the cursor for the next time.

    Without a cursor there is no event: the history begins at the end of the journal.
    """
    argv = ["journalctl", "--no-pager", "-q", "-o", "json"]
    if not cursor:
        argv += ["-n", "1"]
    else:
        # Without --lines: with --grep it counts from the end, also beyond the cursor (systemd 252).
        argv += [f"--after-cursor={cursor}", "-g", "'s server|Started |OOM killer"]
        argv += ["--output-fields=MESSAGE,MESSAGE_ID,UNIT,_PID"]
        for message in (STARTED, OUT_OF_MEMORY):
            argv += ["_PID=1", f"MESSAGE_ID={message}", "+"]
        argv += [f"_SYSTEMD_UNIT={HUB_UNIT}"]
    lines = host.query(argv, timeout_s=JOURNAL_TIMEOUT_S).out.splitlines()
    entries = [entry for line in lines if (entry := _parse(line))]
    last = entries[-1].get("__CURSOR", cursor) if entries else cursor
    return (list(find_events(entries, logins)) if cursor else []), last


def _parse(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return entry if isinstance(entry, dict) else {}


def find_events(entries: list[dict[str, Any]], logins: Mapping[str, str]) -> Iterator[UsageEvent]:
    """Yield what entries of the journal, as `journalctl -o json` prints them, say of servers."""
    last_failure: dict[str, int] = {}
    for entry in entries:
        time_s = int(str(entry.get("__REALTIME_TIMESTAMP", 0))) // 1_000_000
        message, unit = entry.get("MESSAGE"), str(entry.get("UNIT", ""))
        identifier = entry.get("MESSAGE_ID")
        if str(entry.get("_PID")) == "1" and identifier in (STARTED, OUT_OF_MEMORY):
            login = logins.get(_strip(unit))
            if login is not None and unit.startswith(PREFIX):
                yield UsageEvent("start" if identifier == STARTED else "kill", login, time_s)
        elif isinstance(message, str):
            login = find_failed_user(message)
            if login is not None:
                if time_s - last_failure.get(login, 0) > SAME_FAILURE_S:
                    yield UsageEvent("failed start", login, time_s)
                last_failure[login] = time_s


def count_events(events: list[UsageEvent]) -> Counter[tuple[str, str, Kind]]:
    """Return how often each user had each kind of event on each day."""
    return Counter((event.day, event.login, event.kind) for event in events)
