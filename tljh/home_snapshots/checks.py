"""Check of snapshots: whether the homes can have them, and the last one is not too old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.home_snapshots import Obstacle, find_place, get_time, list_snapshots
from tljh.plugins.checks import Check, CheckedMachine, Result

# Two were missed, or the machine was off.
MOST_AGE = {
    "15min": timedelta(hours=1),
    "hourly": timedelta(hours=3),
    "daily": timedelta(hours=50),
}


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or not subject.config.homes.snapshots.enabled:
        return
    place = find_place(subject.host, Path(subject.config.users.home_root))
    if isinstance(place, Obstacle):
        what = "no snapshots of the homes are made"
        yield Severity.DEGRADED, Finding(what, why=place.why, fix=place.fix)
        return
    names = list_snapshots(subject.host, place)
    schedule = subject.config.homes.snapshots.schedule
    fix = "see: systemctl status tljh-snapshots.timer; now: sudo tljh homes snapshot"
    if names and get_utc_time() - get_time(names[-1]) > MOST_AGE[schedule]:
        last = get_time(names[-1])
        yield (
            Severity.DEGRADED,
            Finding(
                f"the last snapshot of the homes is from {last:%Y-%m-%d %H:%M} UTC",
                why=f"homes.snapshots.schedule is {schedule}",
                fix=fix,
            ),
        )
    elif not names and not subject.host.unit("tljh-snapshots.timer").is_active:
        yield Severity.DEGRADED, Finding("no snapshot of the homes was made", fix=fix)


CHECKS = (Check("snapshots of the homes", _check),)
