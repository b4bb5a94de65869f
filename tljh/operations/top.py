"""What each running server uses at the moment, and what is left of the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tljh.host.accounts import get_login
from tljh.host.interface import HostReader
from tljh.host.machine_memory import read_memory
from tljh.singleuser.limits import MachineSize, read_machine_size
from tljh.singleuser.running_servers import RunningServer, find_running_servers

Column = Literal["cpu", "memory", "tasks", "user"]
PRESSURES = ("cpu", "memory", "io")


@dataclass(frozen=True)
class Moment:
    """What was read at one moment; `at_s` is of the monotonic clock, `logins` are by account."""

    at_s: float
    servers: tuple[RunningServer, ...]
    logins: Mapping[str, str]
    size: MachineSize
    load: float
    available_bytes: int
    pressure: Mapping[str, float]


@dataclass(frozen=True)
class ServerLoad:
    """What one server uses; `processors` is 1.5 for one and a half of them."""

    user: str
    unit: str
    processors: float
    processor_limit: float | None
    memory_bytes: int
    memory_limit_bytes: int | None
    tasks: int
    tasks_limit: int | None


@dataclass(frozen=True)
class CurrentUse:
    """The servers in order, and the machine.

    `pressure` has, for cpu, memory and io, the percentage of the last ten seconds in which
    something waited for it; it is empty where the kernel does not measure it.
    """

    servers: tuple[ServerLoad, ...]
    processors: int
    load: float
    memory_bytes: int
    available_bytes: int
    pressure: Mapping[str, float]


def read_moment(host: HostReader) -> Moment:
    """Read what all running servers have used so far."""
    servers = tuple(find_running_servers(host))
    accounts = {account: host.user(account) for account in {each.account for each in servers}}
    pressure = {
        name: float(match[1])
        for name in PRESSURES
        if (match := re.search(r"^some avg10=([0-9.]+)", _read(host, f"/proc/pressure/{name}")))
    }
    return Moment(
        host.monotonic_s(),
        servers,
        {name: get_login(user) for name, user in accounts.items() if user},
        read_machine_size(host),
        float((_read(host, "/proc/loadavg").split() or ["0"])[0]),
        read_memory(host).get("MemAvailable", 0),
        pressure,
    )


def _read(host: HostReader, path: str) -> str:
    return (host.read(Path(path)) or b"").decode(errors="replace")


def compare(before: Moment, after: Moment, column: Column) -> CurrentUse:
    """Return the usage between two moments, the servers with the most of a column first."""
    seconds = max(after.at_s - before.at_s, 0.001)
    earlier = {each.unit: each.cpu_s for each in before.servers}
    servers = [
        _measure(each, after.logins, (each.cpu_s - earlier.get(each.unit, each.cpu_s)) / seconds)
        for each in after.servers
    ]
    return CurrentUse(
        tuple(sorted(servers, key=lambda each: (-_value_of(each, column), each.user, each.unit))),
        after.size.processors,
        after.load,
        after.size.memory_bytes,
        after.available_bytes,
        after.pressure,
    )


def _value_of(server: ServerLoad, column: Column) -> float:
    values = {"cpu": server.processors, "memory": server.memory_bytes, "tasks": server.tasks}
    return values.get(column, 0)


def _measure(server: RunningServer, logins: Mapping[str, str], processors: float) -> ServerLoad:
    quota = server.properties.get("CPUQuota", "").removesuffix("%")
    return ServerLoad(
        logins.get(server.account, server.account),
        server.unit,
        # A server that has restarted has used less than before.
        round(max(processors, 0.0), 2),
        int(quota) / 100 if quota.isdigit() else None,
        server.in_use_bytes,
        _read_limit(server, "MemoryMax"),
        server.tasks,
        _read_limit(server, "TasksMax"),
    )


def _read_limit(server: RunningServer, name: str) -> int | None:
    value = server.properties.get(name, "")
    return int(value) if value.isdigit() else None
