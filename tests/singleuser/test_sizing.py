"""The size of a machine for its users, and the verdict on one that runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.host.usage_history import UsageRecord, UsageSample, UserDay
from tljh.operations.sizing import MeasuredUse, add_history, choose_memory, judge
from tljh.settings.root import Config
from tljh.singleuser.limits import MachineSize, compute_total_limits
from tljh.singleuser.sizing import (
    GIB,
    HEAVY,
    LIGHT,
    NORMAL,
    compute_need,
    count_servers_that_fit,
)

SIZE = MachineSize(16 * GIB, 4, 32768)


@pytest.mark.parametrize(
    ("users", "workload", "memory_gib", "processors"),
    [(1, NORMAL, 2, 1), (30, NORMAL, 32, 8), (30, LIGHT, 16, 4), (30, HEAVY, 128, 32)],
)
def test_what_a_class_needs(users, workload, memory_gib, processors):
    need = compute_need(users, users, workload)
    assert (need.memory_bytes // GIB, need.processors) == (memory_gib, processors)
    assert len(need.formula) == 3


@given(st.integers(1, 2000), st.sampled_from([LIGHT, NORMAL, HEAVY]))
def test_a_machine_of_the_needed_size_has_room_for_all_of_them(users, workload):
    need = compute_need(users, users, workload)
    size = MachineSize(need.memory_bytes, need.processors, 1)
    assert count_servers_that_fit(size, workload) >= users
    assert compute_total_limits(size).memory_bytes >= users * workload.memory_bytes


def use(**changes: int | None) -> MeasuredUse:
    values = {"users": 30, "active_users": 10, "running": 5}
    values |= {"largest_server_bytes": GIB, "peak_bytes": 6 * GIB}
    return MeasuredUse(**{**values, **changes})


def test_a_machine_is_judged_by_its_use():
    assert judge(SIZE, use(), compute_need(30, 10, NORMAL))[0] == "fits"
    verdict, reasons = judge(SIZE, use(), compute_need(30, 30, NORMAL))
    assert verdict == "small"
    assert reasons == ("16G of memory, 32G needed", "4 processors, 8 needed")
    few = compute_need(3, 3, NORMAL)
    assert judge(SIZE, use(peak_bytes=2 * GIB), few)[0] == "large"
    assert judge(SIZE, use(peak_bytes=None), few)[0] == "fits"
    assert judge(SIZE, use(active_users=0, running=0), few)[0] == "unknown"


def test_a_server_is_counted_as_measured_within_its_limit():
    config = Config.model_validate({"limits": {"memory": "2G"}})
    assert choose_memory(config, SIZE, use(largest_server_bytes=0)) == GIB
    assert choose_memory(config, SIZE, use(largest_server_bytes=5 * GIB)) == 2 * GIB
    assert choose_memory(config, SIZE, use(largest_server_bytes=1000)) == GIB // 2


def history_of(days: int) -> UsageRecord:
    samples = [
        UsageSample(time_s, 180, True, 12 if time_s == 1800 else 4, 5 * GIB, 0, 0, 0.0, 4)
        for time_s in range(180, days * 86_400 + 1, 180)
    ]
    peaks = [GIB // 4] * 8 + [2 * GIB] * 11 + [30 * GIB]
    rows = [UserDay(f"2026-11-{n + 1:02}", "ann", 60, peak) for n, peak in enumerate(peaks)]
    return UsageRecord(tuple(samples), tuple(rows))


def test_a_week_of_history_counts_more_than_the_present_moment():
    now_s = 40 * 86_400
    measured = add_history(use(active_users=25, running=2), history_of(8), now_s)
    assert (measured.most_at_once, measured.at_once, measured.measured_days) == (12, 12, 8)
    # One day that was out of the ordinary does not decide.
    assert measured.largest_server_bytes == 2 * GIB
    assert measured.peak_bytes == 6 * GIB
    young = use(active_users=25, running=2)
    assert add_history(young, history_of(3), now_s) == young
    assert young.at_once == 25
