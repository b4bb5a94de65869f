"""What status says of backups."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tljh.backup.checks import find_backup_problems
from tljh.backup.last_runs import LastRuns, read_last_runs
from tljh.host.fake import FakeHost

TIME = datetime(2026, 1, 31, 12, tzinfo=timezone.utc)


def problems(last: LastRuns, schedule: str = "daily") -> list[str]:
    return [finding.what for finding in find_backup_problems(last, schedule, TIME)]


def ago(**duration: float) -> LastRuns:
    return LastRuns(completed=(TIME - timedelta(**duration)).isoformat())


def test_a_fresh_backup_is_fine_and_an_old_one_is_not():
    assert problems(ago(hours=30)) == []
    assert problems(ago(hours=60)) == ["the last backup is from 2026-01-29 00:00 UTC"]
    assert problems(ago(hours=60), "weekly") == []
    assert problems(ago(hours=7), "hourly") != []


def test_a_hub_without_a_backup_or_with_a_failed_one_says_so():
    assert problems(LastRuns()) == ["no backup was made yet"]
    assert problems(LastRuns(completed=TIME.isoformat(), error="disk is gone")) == [
        "the last backup failed"
    ]
    assert problems(LastRuns(completed=TIME.isoformat(), check_error="damaged")) == [
        "the last check of the backups failed"
    ]


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"completed": 3}', b'{"completed": "soon"}'])
def test_a_damaged_file_counts_as_missing(text):
    host, path = FakeHost(), Path("/last.json")
    host.write(path, text, mode=0o600)
    assert read_last_runs(host, path) == LastRuns()
