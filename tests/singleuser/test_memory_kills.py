"""Servers in which memory has ended something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.singleuser.machine_with_servers import machine
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.interface import FileInfo
from tljh.plugins.checks import CheckedMachine
from tljh.singleuser.checks import CHECKS
from tljh.singleuser.memory_kills import check_memory_kills

BOB = "jupyter.slice/jupyter-bob.service"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (f"/sys/fs/cgroup/{BOB}/memory.events", "max 9\noom 2\noom_kill 2\noom_group_kill 0\n"),
        (f"/sys/fs/cgroup/memory/{BOB}/memory.oom_control", "under_oom 0\noom_kill 2\n"),
    ],
)
def test_a_server_in_which_memory_ended_something_is_named(path, text):
    host = machine()
    host.files[Path(path)] = (FileInfo("file", 0o444, "root", "root"), text.encode())
    (finding,) = check_memory_kills(host)
    assert finding.what.startswith("the kernel killed 2 processes of jupyter-bob.service")
    assert finding.why == "it has no limit"
    assert finding.fix == (
        "if the work of bob needs more: sudo tljh-config set limits.users.bob.memory 4G"
    )


def test_a_memory_kill_of_one_server_leaves_the_hub_fine():
    host = machine()
    path = Path(f"/sys/fs/cgroup/{BOB}/memory.events")
    host.files[path] = (FileInfo("file", 0o444, "root", "root"), b"oom_kill 2\n")
    (check,) = (check for check in CHECKS if check.name == "memory of servers")
    subject = CheckedMachine(host, Paths(), None, None)
    assert [severity for severity, _ in check.look(subject)] == [Severity.FINE]


def test_servers_that_had_enough_are_not_mentioned():
    assert list(check_memory_kills(machine())) == []
