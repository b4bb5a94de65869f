"""Limits: which apply to a user, their values on a machine, and their properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.host.fake import FakeHost
from tljh.settings.load import check, load
from tljh.singleuser.limits import (
    MachineSize,
    ServerLimits,
    build_limit_policy,
    choose_concurrent_starts,
    compute_auto_memory,
    compute_total_limits,
    describe_defaults,
    format_policy,
    parse_policy,
    read_machine_size,
)

GIB = 1 << 30
SIZE = MachineSize(16 * GIB, 4, 32_768)


def limits(text: str, login: str = "alice", groups: tuple[str, ...] = ()) -> ServerLimits:
    return build_limit_policy(load(text.encode()), SIZE).of(login, groups)


def test_without_settings_a_server_may_have_half_of_what_all_may_have():
    result = limits("")
    assert result.memory_bytes == compute_total_limits(SIZE).memory_bytes // 2
    assert result.cpu is None
    assert result.tasks == 3072


def test_null_is_no_limit_of_memory():
    assert limits("limits: {memory: null}").memory_bytes is None
    assert limits("limits: {memory: null}").as_properties()["MemoryMax"] == "infinity"


def test_ones_own_limits_come_before_a_groups_and_those_before_everybodys():
    text = """
limits:
  memory: 1G
  cpu: 1
  tasks: 100
  groups: {staff: {memory: 2G, cpu: 2}}
  users: {Alice: {memory: 3G}}
users: {extra_user_groups: {staff: [alice, bob]}}
"""
    assert limits(text) == ServerLimits(3 * GIB, cpu=2, tasks=100)
    assert limits(text, "bob") == ServerLimits(2 * GIB, cpu=2, tasks=100)
    assert limits(text, "carol") == ServerLimits(1 * GIB, cpu=1, tasks=100)


def test_of_several_groups_the_largest_counts_and_none_is_larger_than_all():
    text = """
limits:
  memory: 1G
  groups: {a: {memory: 2G, cpu: 1}, b: {memory: 4G, cpu: null}, c: {memory: 3G}}
"""
    result = limits(text, groups=("a", "b", "c"))
    assert result.memory_bytes == 4 * GIB
    assert result.cpu is None
    assert limits(text, groups=("a", "c")).cpu == 1


def test_groups_that_everybody_joins_and_those_that_the_hub_knows_count_as_well():
    text = "limits: {groups: {all: {tasks: 77}, lti: {cpu_weight: 5}}}\nusers: {groups: [all]}\n"
    assert limits(text).tasks == 77
    assert limits(text, groups=("lti",)).cpu_weight == 5


def test_no_guarantee_is_smaller_than_any():
    text = "limits: {groups: {a: {memory_guarantee: 1G}, b: {memory_guarantee: null}}}"
    assert limits(text, groups=("a", "b")).memory_guarantee_bytes == GIB


def test_every_property_is_written_so_that_each_can_be_reset():
    assert ServerLimits(GIB, 1024, 0.5, 20, 99, 30).as_properties() == {
        "MemoryMax": str(GIB),
        "MemoryLow": "1024",
        "CPUQuota": "50%",
        "CPUWeight": "20",
        "TasksMax": "99",
        "IOWeight": "30",
    }
    assert set(ServerLimits().as_properties()) == set(
        ServerLimits(1, 1, 1, 1, 1, 1).as_properties()
    )


def test_a_share_of_a_processor_below_a_hundredth_is_never_none():
    # systemd would accept 0 % and never run the unit.
    assert ServerLimits(cpu=0.001).as_properties()["CPUQuota"] == "1%"


def test_a_trait_that_a_drop_in_sets_has_the_last_word():
    result = limits("limits: {memory: 1G, cpu: 1}").with_traits(GIB * 2, None, None)
    assert (result.memory_bytes, result.cpu) == (2 * GIB, 1)


def test_the_environment_of_a_server_has_its_limits():
    assert ServerLimits(GIB, None, 1.5).as_environment() == {
        "MEM_LIMIT": str(GIB),
        "CPU_LIMIT": "1.5",
    }


def test_the_hub_reads_what_reload_wrote():
    config = load(
        b"limits: {memory: 1G, users: {alice: {memory: null, cpu: 2}}}\n"
        b"users: {extra_user_groups: {a: [alice]}, groups: [b]}\n"
    )
    assert parse_policy(format_policy(config), SIZE) == build_limit_policy(config, SIZE)
    assert parse_policy(format_policy(config), SIZE).of("alice").memory_bytes is None
    assert parse_policy(None, SIZE).of("alice") == limits("")


@given(st.integers(1 << 28, 1 << 44), st.integers(1, 512), st.integers(1024, 4_194_304))
def test_any_machine_keeps_memory_and_processes_for_the_rest_of_it(memory, processors, tasks):
    size = MachineSize(memory, processors, tasks)
    result = compute_total_limits(size)
    assert memory // 2 - (1 << 20) <= result.memory_bytes < memory
    assert compute_auto_memory(size) <= result.memory_bytes
    assert result.tasks < tasks
    if memory >= GIB:
        assert memory - result.memory_bytes >= 512 << 20
    assert choose_concurrent_starts(None, size) == 2 * processors
    assert choose_concurrent_starts(3, size) == 3


def test_the_size_of_a_machine_is_read_from_it():
    host = FakeHost()
    for path, text in (
        ("/proc/meminfo", "MemTotal:        2048000 kB\nMemFree: 1 kB\n"),
        ("/proc/cpuinfo", "processor\t: 0\nmodel name\t: x\n\nprocessor\t: 1\n"),
        ("/proc/sys/kernel/pid_max", "4194304\n"),
        ("/sys/fs/cgroup/pids.max", "2048\n"),
        ("/sys/fs/cgroup/pids/pids.max", "max\n"),
    ):
        from pathlib import Path

        from tljh.host.interface import FileInfo

        host.files[Path(path)] = (FileInfo("file", 0o644, "root", "root"), text.encode())
    assert read_machine_size(host) == MachineSize(2048000 * 1024, 2, 2048)


def test_defaults_are_described_with_their_values():
    assert describe_defaults(SIZE)["limits.memory"].startswith("auto is 7.5G; all servers together")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("limits: {tasks: 5}", "limits.tasks must be between 32 and 4194304, not 5"),
        ("limits: {cpu_weight: 0}", "limits.cpu_weight must be between 1 and 10000, not 0"),
        ("limits: {disk: lots}", "limits.disk must be an amount of disk space like 512M or 4G"),
        ("limits: {groups: {staff: {memroy: 1G}}}", "there is no setting limits.groups.staff"),
        ("limits: {users: {alice: 2G}}", "limits.users.alice must be a section"),
        ("limits: {groups: {Staff: {cpu: 1}}}", "limits.groups.Staff must be a Linux group name"),
        ("limits: {users: {ann: {}, Ann: {}}}", "limits.users names one user twice: ann and Ann"),
        ("limits: {users: {alice: {memory: auto}}}", "limits.users.alice.memory must be an amount"),
    ],
)
def test_what_makes_no_sense_is_refused(text, what):
    (finding,) = check(text.encode())
    assert finding.what.startswith(what)
