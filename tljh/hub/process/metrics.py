"""Metrics of the machine and of each user's server, in addition to JupyterHub's own.

They are read from the kernel when Prometheus asks, so nothing runs meanwhile; sizes of homes are
those that a timer measured. JupyterHub serves them at hub/metrics, to a token with the scope
read:metrics.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tljh.base.well_known import SLICE
from tljh.host.machine_memory import parse_memory
from tljh.host.usage_history import read_home_sizes

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")
_LABELS = ("user", "server")


@dataclass(frozen=True)
class ServerUnit:
    """A user's server that the hub knows, and its unit."""

    user: str
    server: str
    unit: str
    is_ready: bool


@dataclass(frozen=True)
class ServerUse:
    """What the kernel counts for a server; None for what this kernel does not say."""

    memory_bytes: int | None
    cpu_s: float | None
    tasks: int | None


class MachineCollector(Collector):
    """Collects the machine's and the servers' metrics at each request."""

    def __init__(
        self,
        list_servers: Callable[[], Iterable[ServerUnit]],
        cgroups: Path = CGROUPS,
        proc: Path = PROC,
        disks: tuple[str, ...] = ("/", "/home"),
        history: Path | None = None,
    ) -> None:
        self._list_servers = list_servers
        self._cgroups = cgroups
        self._proc = proc
        self._disks = disks
        self._history = history

    def describe(self) -> Iterable[Metric]:
        """Return nothing: without it, the registry would collect once at registration."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics; what cannot be read is left out."""
        yield from self._collect_servers()
        yield from self._collect_machine()
        yield from self._collect_disks()
        yield self._collect_homes()

    def _collect_servers(self) -> Iterator[Metric]:
        memory = GaugeMetricFamily(
            "tljh_server_memory_bytes", "Memory of a server.", labels=_LABELS
        )
        cpu = CounterMetricFamily(
            "tljh_server_cpu_seconds", "Time of processors that a server used.", labels=_LABELS
        )
        tasks = GaugeMetricFamily("tljh_server_tasks", "Processes and threads.", labels=_LABELS)
        ready = GaugeMetricFamily(
            "tljh_server_ready",
            "1 while a server runs, 0 while it starts or stops.",
            labels=_LABELS,
        )
        for server in self._list_servers():
            use = read_server_use(server.unit, self._cgroups, self._proc)
            if use is None:
                continue
            labels = (server.user, server.server)
            ready.add_metric(labels, float(server.is_ready))
            for family, value in ((memory, use.memory_bytes), (tasks, use.tasks)):
                if value is not None:
                    family.add_metric(labels, value)
            if use.cpu_s is not None:
                cpu.add_metric(labels, use.cpu_s)
        yield from (memory, cpu, tasks, ready)

    def _collect_machine(self) -> Iterator[Metric]:
        fields = parse_memory(_read(self._proc / "meminfo"))
        for field, name in (
            ("MemTotal", "tljh_machine_memory_bytes"),
            ("MemAvailable", "tljh_machine_memory_available_bytes"),
            ("SwapFree", "tljh_machine_swap_free_bytes"),
        ):
            if field in fields:
                yield GaugeMetricFamily(name, f"{field} of the machine.", fields[field])
        load = _read(self._proc / "loadavg").split()
        if load:
            yield GaugeMetricFamily(
                "tljh_machine_load1", "Load of the last minute.", float(load[0])
            )
        processors = os.cpu_count()
        if processors:
            yield GaugeMetricFamily("tljh_machine_processors", "Processors.", processors)

    def _collect_disks(self) -> Iterator[Metric]:
        size = GaugeMetricFamily("tljh_disk_size_bytes", "Size of a disk.", labels=("path",))
        free = GaugeMetricFamily("tljh_disk_free_bytes", "Free for users.", labels=("path",))
        for path in self._disks:
            try:
                status = os.statvfs(path)
            except OSError:
                continue
            size.add_metric((path,), status.f_blocks * status.f_frsize)
            free.add_metric((path,), status.f_bavail * status.f_frsize)
        yield from (size, free)

    def _collect_homes(self) -> Metric:
        # The hub walks no home: a timer measures them once a day.
        homes = GaugeMetricFamily(
            "tljh_user_disk_bytes", "Size of a user's home, measured daily.", labels=("user",)
        )
        for user, size_bytes in (read_home_sizes(self._history) if self._history else {}).items():
            homes.add_metric((user,), size_bytes)
        return homes


def read_server_use(unit: str, cgroups: Path = CGROUPS, proc: Path = PROC) -> ServerUse | None:
    """Return what the kernel counts for a unit of a server; None while it does not run."""
    if not unit or "/" in unit:
        return None
    name = f"{SLICE}/{unit}"
    groups = _find_groups(cgroups, proc)
    if "" in groups:
        group = groups[""] / name
        if not group.is_dir():
            return None
        cpu = re.search(r"^usage_usec (\d+)$", _read(group / "cpu.stat"), re.M)
        return ServerUse(
            _read_number(group / "memory.current"),
            int(cpu[1]) / 1e6 if cpu else None,
            _read_number(group / "pids.current"),
        )
    directories = {controller: root / name for controller, root in groups.items()}
    if not any(directory.is_dir() for directory in directories.values()):
        return None
    nowhere = cgroups / "nowhere"
    cpu_ns = _read_number(directories.get("cpuacct", nowhere) / "cpuacct.usage")
    return ServerUse(
        _read_number(directories.get("memory", nowhere) / "memory.usage_in_bytes"),
        cpu_ns / 1e9 if cpu_ns is not None else None,
        _read_number(directories.get("pids", nowhere) / "pids.current"),
    )


def _find_groups(cgroups: Path, proc: Path) -> dict[str, Path]:
    """Return the directory of the machine's root for each controller; version 2 has the name ''.

    In a container they are not at the top: this process, a service, says where they are.
    """
    groups = {}
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        top = path.partition("/system.slice/")[0] if "/system.slice/" in path else "/"
        if controllers == "" and (cgroups / "cgroup.controllers").exists():
            groups[""] = cgroups / top.strip("/")
        for controller in controllers.split(","):
            for directory in (controllers, controller):
                if controller in ("memory", "cpuacct", "pids") and (cgroups / directory).is_dir():
                    groups[controller] = cgroups / directory / top.strip("/")
    return groups


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _read_number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


def register_metrics(list_servers: Callable[[], Iterable[ServerUnit]], history: Path) -> None:
    """Add the collector to those that hub/metrics serves."""
    REGISTRY.register(MachineCollector(list_servers, history=history))
