"""The history of use: what is kept, what goes, and what survives kills and full disks."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.host.usage_history import (
    DiskUse,
    UsageRecord,
    UsageSample,
    UserDay,
    open_history,
    read_history,
    read_home_sizes,
)

DAY = "2026-11-20"
DISK = DiskUse(DAY, "/", 10, 100)


def sample(time_s: int) -> UsageSample:
    return UsageSample(time_s, 180, True, 1, 100, 200, 1000, 0.7, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite"


def add(path: Path, time_s: int, *rows: UserDay) -> None:
    accounts = {row.user: f"jupyter-{row.user}" for row in rows}
    with open_history(path) as history:
        history.add(sample(time_s), rows, [DISK], accounts, {"at": time_s})


def test_a_users_day_adds_up_over_samples(path):
    add(path, 1000, UserDay(DAY, "ann", 180, 50, 1.5, starts=1))
    add(path, 1180, UserDay(DAY, "ann", 180, 30, 2.0, failed_starts=1, kills=2))
    kept = read_history(path)
    assert kept.samples == (sample(1000), sample(1180))
    assert kept.user_days == (UserDay(DAY, "ann", 360, 50, 3.5, 1, 1, 2),)
    assert kept.disks == (DISK,)
    with open_history(path) as history:
        assert history.read_counters() == {"at": 1180}
    assert path.stat().st_mode & 0o777 == 0o600


def test_there_is_no_history_before_the_first_sample(path):
    assert read_history(path) == UsageRecord()
    assert read_home_sizes(path) == {}


def test_a_home_is_kept_for_the_days_on_which_it_changed(path):
    with open_history(path) as history:
        for day, size in (("2026-10-01", 5), ("2026-10-02", 5), ("2026-11-01", 7)):
            history.add_homes(day, {"ann": size}, {"ann": "jupyter-ann"})
        assert [(each.day, each.size_bytes) for each in history.read().homes] == [
            ("2026-10-01", 5),
            ("2026-11-01", 7),
        ]
        # The size at the begin of what is kept is that of the day before.
        history.prune(0, "2026-10-20")
        assert [each.size_bytes for each in history.read().homes] == [5, 7]
        history.prune(0, "2026-11-02")
        assert [each.size_bytes for each in history.read().homes] == [7]
    assert read_home_sizes(path) == {"ann": 7}


def test_a_name_is_forgotten_a_day_after_its_account_and_the_numbers_stay(path):
    add(path, 1000, UserDay(DAY, "ann", 180, 50), UserDay(DAY, "bob", 180, 60))
    with open_history(path) as history:
        history.add_homes(DAY, {"ann": 5, "bob": 6}, {})
        left = frozenset({"jupyter-bob"})
        history.forget_missing(left, 100_000)
        # A directory of accounts that was away for an hour is no reason.
        history.forget_missing(left | {"jupyter-ann"}, 103_600)
        history.forget_missing(left, 107_200)
        history.forget_missing(left, 107_200 + 86_399)
        assert {each.user for each in history.read().user_days} == {"ann", "bob"}
        history.forget_missing(left, 107_200 + 86_400)
        kept = history.read()
    assert [(each.user, each.peak_bytes) for each in kept.user_days] == [("#1", 50), ("bob", 60)]
    assert [each.user for each in kept.homes] == ["bob"]
    assert b"jupyter-ann" not in path.read_bytes()
    # The next one of that name is another user.
    add(path, 300_000, UserDay(DAY, "ann", 180, 70))
    assert len(read_history(path).user_days) == 3


def test_what_is_old_goes_and_its_room_is_used_again(path):
    def fill(day: str) -> None:
        rows = [UserDay(day, f"user{number}", 180) for number in range(2000)]
        add(path, int(day[-2:]), *rows)

    fill("2026-11-01")
    size = path.stat().st_size
    for number in range(2, 6):
        day = f"2026-11-{number:02}"
        with open_history(path) as history:
            history.prune(number, day)
        fill(day)
    assert path.stat().st_size < 1.5 * size
    kept = read_history(path)
    assert [each.time_s for each in kept.samples] == [5]
    assert {each.day for each in kept.user_days} == {"2026-11-05"}


def test_a_damaged_file_begins_again(path):
    add(path, 1000)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(TljhError, match="cannot be read"):
        read_history(path)
    with pytest.raises(TljhError, match="begins again"):
        add(path, 1180)
    add(path, 1360)
    assert [each.time_s for each in read_history(path).samples] == [1360]


def test_a_full_disk_costs_the_sample_and_nothing_else(path, monkeypatch):
    add(path, 1000)
    pages = path.stat().st_size // 4096
    monkeypatch.setattr("tljh.host.usage_history.MOST_PAGES", pages)
    with pytest.raises(TljhError, match="cannot be written"):
        add(path, 2000, *(UserDay(DAY, f"user{number}", 180) for number in range(2000)))
    monkeypatch.undo()
    add(path, 3000)
    assert [each.time_s for each in read_history(path).samples] == [1000, 3000]


KILLED = """
import os, signal, sys
from pathlib import Path
from tljh.host.usage_history import UsageSample, UserDay, open_history
class Fatal(list):
    def __iter__(self):
        yield UserDay("2026-11-20", "ann", 180)
        os.kill(os.getpid(), signal.SIGKILL)
with open_history(Path(sys.argv[1])) as history:
    # So that pages of the transaction are in the file when the process ends.
    history._connection.execute("PRAGMA cache_size = 1")
    sample = UsageSample(2000, 180, True, 1, 1, 1, 1, 0.0, 1)
    history.add(sample, Fatal(), [], {}, {})
"""


def test_a_killed_run_leaves_the_history_of_before(path):
    add(path, 1000, UserDay(DAY, "ann", 180))
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    kept = read_history(path)
    assert [each.time_s for each in kept.samples] == [1000]
    assert [each.running_s for each in kept.user_days] == [180]
    add(path, 3000)
    assert len(read_history(path).samples) == 2


def test_the_hub_does_not_wait_for_the_timer(path):
    add(path, 1000)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert read_home_sizes(path) == {}


def test_a_link_is_not_followed(path, tmp_path):
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), open_history(path):
        pass
    assert not (tmp_path / "elsewhere").exists()
