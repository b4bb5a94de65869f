"""One sample of the use: what is subtracted, and what reboots and jumps of the clock do."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.paths import Paths
from tljh.host.accounts import make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.host.usage_history import read_history
from tljh.operations import usage_sampling
from tljh.operations.usage_events import STARTED, UsageEvent, get_local_day
from tljh.operations.usage_sampling import (
    MOST_COVERED_S,
    Reading,
    ServerReading,
    compute_sample,
    compute_user_days,
    is_clock_reliable,
    take_sample,
)
from tljh.singleuser.running_servers import RunningServer, SliceUse

GIB = 1 << 30
NOW = int(datetime(2026, 11, 28, 15, 0).timestamp())


def server(cpu_s: float, in_use: int = GIB, invocation: str = "i1") -> RunningServer:
    return RunningServer(
        "jupyter-ann.service", "jupyter-ann", in_use, {}, cpu_s, invocation=invocation
    )


BEFORE = Reading(
    NOW,
    "boot",
    5000.0,
    True,
    (ServerReading(server(100.0), "ann", 2 * GIB, 1),),
    SliceUse(GIB, 3 * GIB),
    4 * GIB,
    8 * GIB,
    4,
    1000.0,
)


def later(**changes: object) -> Reading:
    values = {"time_s": NOW + 180, "uptime_s": 5180.0, "busy_s": 1360.0}
    return replace(BEFORE, **{**values, **changes})


def test_processors_are_the_average_since_the_last_sample():
    after = later(slice=SliceUse(GIB, 3 * GIB))
    sample = compute_sample(after, BEFORE.as_counters())
    assert (sample.covered_s, sample.used_processors) == (180, 2.0)
    assert sample.server_bytes == GIB


def test_a_peak_between_two_samples_counts_once():
    reached = later(slice=SliceUse(GIB, 6 * GIB))
    assert compute_sample(reached, BEFORE.as_counters()).server_bytes == 6 * GIB
    unchanged = replace(reached, time_s=NOW + 360, uptime_s=5360.0)
    assert compute_sample(unchanged, reached.as_counters()).server_bytes == GIB
    # All servers ended, others began: the kernel counts in a new control group.
    renewed = replace(reached, slice=SliceUse(GIB, 2 * GIB))
    assert compute_sample(renewed, reached.as_counters()).server_bytes == 2 * GIB


def test_the_first_sample_covers_no_time():
    sample = compute_sample(BEFORE, {})
    assert (sample.covered_s, sample.used_processors) == (0, 0.0)
    [row] = compute_user_days(BEFORE, sample, {}, [])
    assert (row.cpu_s, row.peak_bytes, sample.server_bytes) == (0.0, GIB, GIB)


def test_after_a_reboot_the_time_since_the_boot_counts():
    booted = later(boot="another", uptime_s=60.0, busy_s=30.0, slice=SliceUse(0, None))
    sample = compute_sample(booted, BEFORE.as_counters())
    assert (sample.covered_s, sample.used_processors) == (60, 0.5)


def test_a_server_that_started_again_counts_from_its_start():
    restarted = later(servers=(ServerReading(server(12.0, invocation="i2"), "ann", GIB),))
    sample = compute_sample(restarted, BEFORE.as_counters())
    [row] = compute_user_days(restarted, sample, BEFORE.as_counters(), [])
    assert (row.user, row.running_s, row.cpu_s) == ("ann", 180, 12.0)


def test_two_servers_of_one_user_run_for_the_time_once():
    second = replace(server(5.0, invocation="i3"), unit="jupyter-ann--gpu.service")
    both = later(servers=(*BEFORE.servers, ServerReading(second, "ann", None)))
    sample = compute_sample(both, BEFORE.as_counters())
    rows = compute_user_days(both, sample, BEFORE.as_counters(), [])
    assert sum(row.running_s for row in rows) == 180


@pytest.mark.parametrize(("logged", "kills"), [(0, 2), (1, 2), (2, 2), (3, 3)])
def test_a_kill_that_systemd_logged_is_not_counted_twice(logged, kills):
    after = later(servers=(replace(BEFORE.servers[0], kills=3),))
    events = [UsageEvent("kill", "ann", NOW)] * logged
    sample = compute_sample(after, BEFORE.as_counters())
    rows = compute_user_days(after, sample, BEFORE.as_counters(), events)
    assert sum(row.kills for row in rows) == kills


def test_events_are_of_the_day_on_which_they_happened():
    event = UsageEvent("kill", "ann", NOW - 86_400)
    rows = compute_user_days(later(servers=()), compute_sample(later(), {}), {}, [event])
    assert [(row.day, row.kills, row.starts) for row in rows] == [
        (get_local_day(event.time_s), 1, 0)
    ]


@given(st.floats(0, 1e9), st.integers(0, 1 << 33), st.floats(0, 1e9), st.booleans())
def test_no_jump_makes_a_sample_that_cannot_be(uptime_s, time_s, busy_s, is_same_boot):
    boot = "boot" if is_same_boot else "another"
    after = later(uptime_s=uptime_s, time_s=time_s, busy_s=busy_s, boot=boot)
    sample = compute_sample(after, BEFORE.as_counters())
    assert 0 <= sample.covered_s <= MOST_COVERED_S
    assert 0 <= sample.used_processors <= 4


def test_only_a_clock_that_runs_evenly_makes_anything_old():
    before = BEFORE.as_counters()
    assert is_clock_reliable(later(), before)
    assert not is_clock_reliable(later(time_s=NOW + 10 * 365 * 86_400), before)
    assert not is_clock_reliable(later(time_s=NOW - 86_400), before)
    assert not is_clock_reliable(later(boot="another", uptime_s=60.0), before)
    assert not is_clock_reliable(BEFORE, {})


PEAK = "/sys/fs/cgroup/jupyter.slice/jupyter-ann.service/memory.peak"
SHOW = """\
Id=jupyter-ann.service
ActiveState=active
Slice=jupyter.slice
User=jupyter-ann
MemoryCurrent=1073741824
CPUUsageNSec=5000000000
TasksCurrent=3
ControlGroup=/jupyter.slice/jupyter-ann.service
InvocationID=i1
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[FakeHost, Paths]:
    paths = Paths(tmp_path)
    paths.state_dir.mkdir()
    host = FakeHost()
    host.add_user("jupyter-ann", home=Path("/home/ann"), comment=make_mark("ann"), uid=2001)
    host.answers["systemctl show"] = Result(0, SHOW)
    disks = "Mounted Used 1B-blocks\n/ 10 100\n/ 10 100\n/my disk 5 50\n"
    host.answers["df"] = Result(0, disks)
    proc = {
        "/proc/stat": "cpu 1000 0 1000 5000 100 0 0 0 0 0\ncpu0 1 1 1 1\n",
        "/proc/uptime": "5000.12 9000.00\n",
        "/proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n",
        "/proc/cpuinfo": "processor\t: 0\nprocessor\t: 1\n",
        "/proc/sys/kernel/random/boot_id": "boot\n",
        PEAK: f"{2 * GIB}\n",
    }
    for name, text in proc.items():
        put(host, name, text)
    asked: list[str] = []
    monkeypatch.setattr(
        usage_sampling, "answers", lambda port, path, timeout_s: not asked.append(path)
    )
    return host, paths


def put(host: FakeHost, name: str, text: str) -> None:
    from tljh.host.interface import FileInfo

    host.files[Path(name)] = (FileInfo("file", 0o644, "root", "root"), text.encode())


def test_a_damaged_history_begins_again_in_the_same_run(machine, monkeypatch, capsys):
    host, paths = machine
    monkeypatch.setattr(usage_sampling, "RealHost", lambda: host)
    monkeypatch.setattr(usage_sampling, "get_paths", lambda: paths)
    paths.usage_history.write_bytes(b"not a database" * 1000)
    assert usage_sampling.main(["sample", "31"]) == 0
    assert "begins again" in capsys.readouterr().err
    assert len(read_history(paths.usage_history).samples) == 1


def test_a_sample_of_a_machine_with_a_server(machine):
    host, paths = machine
    entry = {
        "MESSAGE_ID": STARTED,
        "_PID": "1",
        "UNIT": "jupyter-ann.service",
        "__REALTIME_TIMESTAMP": str(NOW * 1_000_000),
        "__CURSOR": "c",
    }
    host.answers["journalctl"] = Result(0, json.dumps(entry))
    take_sample(host, paths, 31, NOW)
    put(host, "/proc/uptime", "5180.12 9000.00\n")
    put(host, PEAK, f"{3 * GIB}\n")
    put(host, "/proc/stat", "cpu 10000 0 10000 5000 100 0 0 0 0 0\n")
    take_sample(host, paths, 31, NOW + 180)
    kept = read_history(paths.usage_history)
    last = kept.samples[-1]
    assert (last.covered_s, last.is_hub_up, last.servers, last.processors) == (180, True, 1, 2)
    assert (last.memory_bytes, last.used_bytes, last.used_processors) == (8 * GIB, 4 * GIB, 1.0)
    [ann] = kept.user_days
    assert (ann.user, ann.running_s, ann.peak_bytes, ann.starts) == ("ann", 180, 3 * GIB, 1)
    assert [(each.mount, each.used_bytes) for each in kept.disks] == [("/", 10), ("/my disk", 5)]
    host.remove_user("jupyter-ann")
    put(host, "/proc/uptime", "5360.12 9000.00\n")
    take_sample(host, paths, 31, NOW + 360)
    # The account is looked for again for a day.
    assert [each.user for each in read_history(paths.usage_history).user_days] == ["ann"]
