"""Running servers in which the kernel killed processes for lack of memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tljh.base.errors import Finding
from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.singleuser.limit_properties import MEMORY_MAX
from tljh.singleuser.running_servers import running_servers

CGROUPS = Path("/sys/fs/cgroup")


# The files that count it, with cgroup v2 and v1.
_COUNTERS = ("{unit}/memory.events", "memory/{unit}/memory.oom_control")


def count_memory_kills(host: HostReader, unit: str) -> int:
    """Return how many processes of a running unit the kernel killed for memory."""
    for name in _COUNTERS:
        text = host.read(CGROUPS / name.format(unit=f"{SLICE}/{unit}"))
        for line in (text or b"").decode(errors="replace").splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill" and number.isdigit():
                return int(number)
    return 0


def memory_findings(host: HostReader) -> Iterator[Finding]:
    """Report each running server in which the kernel killed a process for memory."""
    for server in running_servers(host):
        count = count_memory_kills(host, server.unit)
        if count:
            limit = server.properties[MEMORY_MAX.name]
            noun = "process" if count == 1 else "processes"
            yield Finding(
                f"the kernel killed {count} {noun} of {server.unit} for lack of memory",
                why=f"its limit is {int(limit) >> 20} MB" if limit.isdigit() else "it has no limit",
                fix="if its work needs more: sudo tljh-config set limits.users.NAME.memory 4G",
            )
