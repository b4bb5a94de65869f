"""In which servers memory has ended something: their limits may be too small for their work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tljh.base.errors import Finding
from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.singleuser.limit_properties import MEMORY_MAX
from tljh.singleuser.running_servers import running_servers

CGROUPS = Path("/sys/fs/cgroup")


_COUNTED_IN = ("{unit}/memory.events", "memory/{unit}/memory.oom_control")


def ended_for_memory(host: HostReader, unit: str) -> int:
    """How many processes of a unit that runs were ended because memory was used up."""
    for name in _COUNTED_IN:
        text = host.read(CGROUPS / name.format(unit=f"{SLICE}/{unit}"))
        for line in (text or b"").decode(errors="replace").splitlines():
            word, _, number = line.partition(" ")
            if word == "oom_kill" and number.isdigit():
                return int(number)
    return 0


def memory_findings(host: HostReader) -> Iterator[Finding]:
    """A finding for each server that runs and in which memory has ended something."""
    for server in running_servers(host):
        count = ended_for_memory(host, server.unit)
        if count:
            limit = server.properties[MEMORY_MAX.name]
            shown = (
                f"a limit of {int(limit) >> 20} MB" if limit.isdigit() else "no limit of its own"
            )
            yield Finding(
                f"memory ended {count} processes in {server.unit} since it was started",
                why=f"it has {shown}",
                fix="if its work needs more: sudo tljh-config set limits.users.NAME.memory 4G",
            )
