from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.sizes import format_size
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo
from tljh.operations.oversized_limits import find_oversized_limits
from tljh.settings.load import load


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    for name, data in {
        "/proc/meminfo": b"MemTotal:       25165824 kB\n",
        "/proc/cpuinfo": b"processor\t: 0\n" * 4,
    }.items():
        host.files[Path(name)] = (FileInfo("file", 0o444, "root", "root"), data)
    return host


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        ("{memory: 480G}", "limits.memory is 480G, and this machine has 24G"),
        ("{memory_guarantee: 25G}", "limits.memory_guarantee is 25G, and this machine has 24G"),
        (
            "{groups: {staff: {memory: 1T}}}",
            "limits.groups.staff.memory is 1T, and this machine has 24G",
        ),
        ("{users: {ada: {cpu: 8}}}", "limits.users.ada.cpu is 8, and this machine has 4"),
    ],
)
def test_limit_that_is_larger_than_the_machine_is_a_warning(host, limits, what):
    (problem,) = find_oversized_limits(load(f"limits: {limits}\n".encode()), host)
    assert (problem.what, problem.severity) == (what, "warning")


@pytest.mark.parametrize("limits", ["{}", "{memory: auto}", "{memory: 24G, cpu: 4}"])
def test_limit_that_fits_is_fine(host, limits):
    assert list(find_oversized_limits(load(f"limits: {limits}\n".encode()), host)) == []


def test_sizes_have_a_unit():
    sizes = [512, 1 << 10, 480 << 20, 3 << 29, 24 << 30]
    assert [format_size(size) for size in sizes] == ["512 bytes", "1K", "480M", "1.5G", "24G"]
