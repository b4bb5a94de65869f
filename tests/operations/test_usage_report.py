"""The history of use, added up; and the events that are read from the journal."""

from __future__ import annotations

import json
import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.host.usage_history import DiskUse, HomeSize, UsageRecord, UsageSample, UserDay
from tljh.operations.usage_events import (
    OUT_OF_MEMORY,
    STARTED,
    UsageEvent,
    find_events,
    get_local_day,
    map_units,
    read_events,
)
from tljh.operations.usage_report import Away, build_report, list_days

NOW = int(datetime(2026, 11, 28, 15, 0).timestamp())
GIB = 1 << 30


def sample(time_s: int, **changes: object) -> UsageSample:
    values = {"covered_s": 180, "is_hub_up": True, "servers": 2, "server_bytes": GIB}
    values |= {"used_bytes": 2 * GIB, "memory_bytes": 8 * GIB}
    values |= {"used_processors": 1.0, "processors": 4}
    return UsageSample(time_s, **{**values, **changes})


def samples_until_now(hours: int, **changes: object) -> list[UsageSample]:
    return [sample(time_s, **changes) for time_s in range(NOW - hours * 3600 + 180, NOW + 1, 180)]


def test_peaks_and_averages_of_a_day():
    samples = samples_until_now(10)
    samples[5] = sample(samples[5].time_s, server_bytes=3 * GIB, used_processors=4.0, servers=9)
    today = build_report(UsageRecord(tuple(samples)), NOW, 7).days[-1]
    assert (today.servers, today.server_bytes, today.cpu_peak) == (9, 3 * GIB, 4.0)
    assert today.cpu_mean == pytest.approx(1.015)
    assert today.unmeasured_s == today.away_s == 0


def test_a_hub_that_was_away_is_in_the_report_with_its_time():
    samples = samples_until_now(10)
    for place in (20, 21, 22, 23, 50):
        samples[place] = sample(samples[place].time_s, is_hub_up=False)
    report = build_report(UsageRecord(tuple(samples)), NOW, 7)
    assert report.away == (Away(samples[20].time_s - 180, 720), Away(samples[50].time_s - 180, 180))
    assert report.days[-1].away_s == 900


def test_a_machine_that_was_off_is_not_measured_and_not_away():
    samples = [each for each in samples_until_now(10) if not NOW - 7200 < each.time_s < NOW - 3600]
    report = build_report(UsageRecord(tuple(samples)), NOW, 7)
    assert report.away == ()
    assert 3300 <= report.days[-1].unmeasured_s <= 3900
    assert report.measured_s + report.days[-1].unmeasured_s == report.span_s


def test_days_before_the_first_sample_are_neither_measured_nor_missing():
    report = build_report(UsageRecord(tuple(samples_until_now(2))), NOW, 7)
    assert [day.is_measured for day in report.days] == [False] * 6 + [True]
    assert report.total("unmeasured_s") == 0
    assert report.span_s == 7200


def test_users_of_a_day_are_those_who_had_a_server():
    day, before = get_local_day(NOW), get_local_day(NOW - 86_400)
    rows = (
        UserDay(before, "ann", 3600, GIB, 100.0, starts=1),
        UserDay(day, "ann", 1800, 2 * GIB, 50.0, kills=1),
        UserDay(day, "bob", 0, 0, 0.0, starts=1),
        UserDay(day, "eve", failed_starts=2),
        UserDay("2026-01-01", "old", 3600, GIB, 9.0),
    )
    homes = (
        HomeSize("2026-01-01", "ann", 10),
        HomeSize(before, "ann", 30),
        HomeSize(day, "idle", 5),
    )
    report = build_report(UsageRecord((), rows, homes), NOW, 7)
    assert [each.users for each in report.days[-2:]] == [1, 2]
    assert [each.user for each in report.users] == ["ann", "idle", "bob", "eve"]
    ann = report.users[0]
    assert (ann.days, ann.running_s, ann.peak_bytes, ann.cpu_s, ann.kills) == (
        *(2, 5400, 2 * GIB, 150.0, 1),
    )
    assert (ann.home_bytes, ann.growth_bytes) == (30, 20)
    assert report.total("failed_starts") == 2


def test_a_disk_that_fills_says_when():
    days = list_days(NOW, 11)
    disks = [DiskUse(day, "/", (50 + 2 * n) * GIB, 100 * GIB) for n, day in enumerate(days)]
    [disk] = build_report(UsageRecord(disks=tuple(disks)), NOW, 31).disks
    assert (disk.growth_bytes, disk.full_in_days) == (20 * GIB, 15)
    assert disk.used[:20] == (None,) * 20 and disk.used[-1] == 70 * GIB
    [calm] = build_report(UsageRecord(disks=(disks[0], disks[-1])[:1]), NOW, 31).disks
    assert calm.full_in_days is None


@given(
    st.lists(
        st.tuples(st.integers(-40 * 480, 480), st.integers(0, 540), st.booleans()), max_size=60
    ),
    st.integers(1, 92),
)
def test_no_history_is_measured_for_longer_than_there_was_time(rows, length):
    samples = sorted(
        {
            NOW + place * 180: sample(NOW + place * 180, covered_s=covered, is_hub_up=up)
            for place, covered, up in rows
        }.values(),
        key=lambda each: each.time_s,
    )
    report = build_report(UsageRecord(tuple(samples)), NOW, length)
    assert len(report.days) == length
    assert 0 <= report.measured_s <= report.span_s <= length * 86_400 + 3600
    # What a clock that was ahead left in the future is not in any day.
    assert all(away.since < NOW for away in report.away)
    assert sum(away.seconds for away in report.away) == report.total("away_s")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
def test_a_day_on_which_the_clock_changes_is_one_day(monkeypatch, zone):
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        noon = int(datetime(2026, 10, 26, 12).timestamp())
        start = int(datetime(2026, 10, 24).timestamp())
        samples = [sample(time_s) for time_s in range(start + 180, noon + 1, 180)]
        report = build_report(UsageRecord(tuple(samples)), noon, 3)
        assert [day.day for day in report.days] == ["2026-10-24", "2026-10-25", "2026-10-26"]
        assert report.total("unmeasured_s") == 0
    finally:
        monkeypatch.undo()
        time.tzset()


# As `journalctl -o json` of systemd 252 prints them, shortened to the fields that are asked for.
def entry(message: str, time_s: int = NOW, **fields: str) -> dict[str, str]:
    return {"__REALTIME_TIMESTAMP": str(time_s * 1_000_000), "MESSAGE": message, **fields}


def of_systemd(identifier: str, unit: str, time_s: int = NOW) -> dict[str, str]:
    return entry("of a unit", time_s, _PID="1", MESSAGE_ID=identifier, UNIT=unit)


LOGINS = {"jupyter-ann": "ann", "jupyter-x": "Ann Lee"}


def test_starts_and_kills_are_those_that_systemd_logged():
    entries = [
        of_systemd(STARTED, "jupyter-ann.service"),
        of_systemd(STARTED, "jupyter-ann--gpu.service"),
        of_systemd(OUT_OF_MEMORY, "jupyter-ann.service"),
        of_systemd(STARTED, "jupyterhub.service"),
        of_systemd(STARTED, "jupyter-gone.service"),
    ]
    # A user's own message with the same mark.
    entries.append({**of_systemd(STARTED, "jupyter-ann.service"), "_PID": "4242"})
    kinds = [(event.login, event.kind) for event in find_events(entries, LOGINS)]
    assert kinds == [("ann", "start"), ("ann", "start"), ("ann", "kill")]


@pytest.mark.parametrize(
    "text",
    [
        "[W 2026-11-28 15:00:00.1 JupyterHub user:1059] %s's server failed to start in 60 seconds.",
        "[E 2026-11-28 15:00:00.1 JupyterHub user:1065] Not starting %s's server : locked",
        "[E 2026-11-28 15:00:00.1 JupyterHub user:1073] Unhandled error starting %s's server: x",
        "[W 2026-11-28 15:00:00.1 JupyterHub user:1120] %s's server never showed up at http://a/",
        "%s's server never showed up at http://127.0.0.1:1/",
    ],
)
def test_a_failed_start_is_of_the_user_that_the_hub_names(text):
    line = text % "Ann Lee"
    entries = [entry(line, NOW + seconds) for seconds in (0, 3, 60)]
    assert list(find_events(entries, LOGINS)) == [
        UsageEvent("failed start", "Ann Lee", NOW),
        UsageEvent("failed start", "Ann Lee", NOW + 60),
    ]


def test_the_journal_is_read_on_from_where_the_last_sample_ended():
    host = FakeHost()
    asked: list[list[str]] = []
    lines = [{**of_systemd(STARTED, "jupyter-ann.service"), "__CURSOR": "c2"}]

    def answer(argv):
        asked.append(list(argv))
        return Result(0, "\n".join(["no json", *map(json.dumps, lines)]))

    host.answers["journalctl"] = answer
    assert read_events(host, "", LOGINS) == ([], "c2")
    events, cursor = read_events(host, "c1", LOGINS)
    assert ([event.kind for event in events], cursor) == (["start"], "c2")
    assert "--after-cursor=c1" in asked[1]
    lines.clear()
    assert read_events(host, "c2", LOGINS) == ([], "c2")


def test_a_unit_leads_to_the_login_name_of_its_account():
    from tljh.base.account_names import make_account_name, make_unit_name
    from tljh.host.accounts import make_mark

    host = FakeHost()
    for number, login in enumerate(["ann", "Ann Lee", "a--b", "x" * 60]):
        account = make_account_name(login)
        host.add_user(account, home=Path("/home/x"), comment=make_mark(login), uid=2000 + number)
        unit = make_unit_name(account, "second server")
        assert map_units(host)[unit.partition("--")[0]] == login


def test_the_timer_runs_as_often_as_the_samples_count():
    from tljh.operations.usage_sampling import EVERY_S
    from tljh.systemd.templates import render_unit

    [minutes] = re.findall(
        r"OnUnitInactiveSec=(\d+)min", render_unit("tljh-history.timer").decode()
    )
    assert int(minutes) * 60 == EVERY_S


def test_days_are_local_and_end_today():
    assert list_days(NOW, 3) == ["2026-11-26", "2026-11-27", "2026-11-28"]
