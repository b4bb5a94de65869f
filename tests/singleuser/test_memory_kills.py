"""Servers in which memory has ended something."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.singleuser.machine_with_servers import machine
from tljh.host.interface import FileInfo
from tljh.singleuser.memory_kills import memory_findings

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
    (finding,) = memory_findings(host)
    assert finding.what.startswith("the kernel killed 2 processes of jupyter-bob.service")
    assert finding.why == "it has no limit"


def test_servers_that_had_enough_are_not_mentioned():
    assert list(memory_findings(machine())) == []
