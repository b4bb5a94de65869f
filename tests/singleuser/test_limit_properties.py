"""What is written into a unit is what is read back from it."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.host.systemctl_output import parse_unit
from tljh.singleuser.limit_properties import (
    LIMIT_PROPERTIES,
    SHOWN_NAMES,
    build_properties,
    parse_percent,
    read_properties,
)
from tljh.singleuser.limits import ServerLimits

AMOUNTS = st.integers(1 << 20, 1 << 44)
WEIGHTS = st.integers(1, 10_000)
LIMITS = st.builds(
    ServerLimits,
    memory_bytes=st.none() | AMOUNTS,
    memory_guarantee_bytes=st.none() | AMOUNTS,
    cpu=st.none() | st.floats(0.001, 512),
    cpu_weight=WEIGHTS,
    tasks=st.none() | st.integers(32, 4_194_304),
    io_weight=WEIGHTS,
)


def as_systemd_shows(properties: dict[str, str]) -> dict[str, str]:
    """Return the properties as `systemctl show` prints them after they were set (systemd 252)."""
    output = dict(properties)
    quota = output.pop("CPUQuota")
    output["CPUQuotaPerSecUSec"] = as_span(int(quota.rstrip("%")) * 10) if quota else "infinity"
    return output


def as_span(milliseconds: int) -> str:
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest // 1000}s" if rest % 1000 == 0 else f"{rest / 1000:.6f}s"
    return " ".join([*([f"{minutes}min"] if minutes else []), *([seconds] if rest else [])])


@given(LIMITS)
def test_limits_that_were_written_are_read_back_unchanged(limits):
    written = build_properties(limits)
    assert read_properties(as_systemd_shows(written)) == written


def test_every_property_is_written_and_asked_for_and_read():
    names = {limit.name for limit in LIMIT_PROPERTIES}
    assert set(build_properties(ServerLimits())) == names
    assert set(read_properties({})) == names
    assert set(SHOWN_NAMES) == set(as_systemd_shows(build_properties(ServerLimits())))


def test_every_limit_but_that_of_the_disk_has_a_property():
    limits = {field.name for field in fields(ServerLimits)}
    assert {limit.field for limit in LIMIT_PROPERTIES} == limits - {"disk_bytes"}


def test_what_systemctl_shows_is_read_as_it_would_be_written():
    output = """\
CPUWeight=[not set]
CPUQuotaPerSecUSec=1.500000s
IOWeight=20
MemoryLow=0
MemoryMax=2147483648
TasksMax=infinity
"""
    written = build_properties(ServerLimits(2 << 30, cpu=1.5, io_weight=20))
    assert read_properties(parse_unit(output)) == written


@pytest.mark.parametrize(
    ("span", "percent"),
    [
        ("infinity", ""),
        ("500ms", "50%"),
        ("1.500000s", "150%"),
        ("1min 4s", "6400%"),
        ("10ms", "1%"),
    ],
)
def test_a_quota_is_shown_as_a_span_and_taken_as_a_percentage(span, percent):
    assert parse_percent(span) == percent
