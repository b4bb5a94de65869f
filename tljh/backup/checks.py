"""Check of backups: whether the last one worked, and is not too old."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from tljh.backup.last_runs import LastRuns, read_last_runs
from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, CheckedMachine, Result

# Twice the interval and some hours: one missed run is no reason to look, two are.
MOST_AGE = {
    "hourly": timedelta(hours=6),
    "daily": timedelta(hours=54),
    "weekly": timedelta(days=15),
}


def find_backup_problems(
    last: LastRuns, schedule: str, current_time: datetime
) -> Iterator[Finding]:
    """Yield what is wrong with the backups that were made last."""
    if last.error:
        yield Finding(
            "the last backup failed",
            why=last.error,
            fix="correct the cause above, then: sudo tljh backup run",
        )
    elif last.completed_at is None:
        yield Finding(
            "no backup was made yet", why="the timer makes one", fix="now: sudo tljh backup run"
        )
    elif current_time - last.completed_at > MOST_AGE[schedule]:
        yield Finding(
            f"the last backup is from {last.completed_at:%Y-%m-%d %H:%M} UTC",
            why=f"backup.schedule is {schedule}",
            fix="see: systemctl status tljh-backup.timer; now: sudo tljh backup run",
        )
    if last.check_error:
        yield Finding(
            "the last check of the backups failed",
            why=last.check_error,
            fix="correct the cause above, then: sudo tljh backup check",
        )


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.config.backup.repository is None:
        return
    last = read_last_runs(subject.host, subject.paths.last_backup)
    for finding in find_backup_problems(last, subject.config.backup.schedule, get_utc_time()):
        yield Severity.DEGRADED, finding


CHECKS = (Check("backups", _check),)
