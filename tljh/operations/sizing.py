"""Whether the machine fits its users, from what is measured on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.sizes import format_size
from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.host.systemctl_output import parse_units
from tljh.operations.checks import examine_machine
from tljh.operations.user_changes import read_users
from tljh.settings.sections.limits import AUTO, parse_memory
from tljh.singleuser.limits import MachineSize, compute_auto_memory, read_machine_size
from tljh.singleuser.running_servers import find_running_servers
from tljh.singleuser.sizing import NORMAL, Need, Workload, compute_need

if TYPE_CHECKING:
    from tljh.host.interface import Host
    from tljh.settings.root import Config

ACTIVE_FOR = timedelta(days=7)
# Less than that in use at the busiest moment seen: a smaller machine would do.
IDLE_SHARE = 0.35
CGROUP_PEAKS = (
    "/sys/fs/cgroup/{}/memory.peak",
    "/sys/fs/cgroup/memory/{}/memory.max_usage_in_bytes",
)


@dataclass(frozen=True)
class MeasuredUse:
    """What is known of the use: users, and memory of all servers since the slice started."""

    users: int
    active_users: int
    running: int
    largest_server_bytes: int
    peak_bytes: int | None


@dataclass(frozen=True)
class Sizing:
    """The machine, its use, and what it needs; `verdict` is small, large, fits or unknown."""

    size: MachineSize
    use: MeasuredUse
    need: Need
    verdict: str
    reasons: tuple[str, ...]


def read_sizing(host: Host, paths: Paths) -> Sizing:
    """Compare the machine with its use. Raises TljhError if no hub is installed."""
    config = examine_machine(host, paths).config
    if config is None:
        raise TljhError(
            f"there is no working configuration of a hub at {paths.prefix}", fix="sudo tljh status"
        )
    size = read_machine_size(host)
    use = measure_use(host, paths)
    memory = choose_memory(config, size, use)
    at_once = max(use.active_users, use.running, 1)
    workload = replace(NORMAL, name="measured", memory_bytes=memory)
    need = compute_need(max(use.users, 1), at_once, workload)
    return Sizing(size, use, need, *judge(size, use, need))


def measure_use(host: Host, paths: Paths) -> MeasuredUse:
    """Count users, and read the memory of servers from their cgroups."""
    users = list(read_users(host, paths).directory.users.values())
    since = get_utc_time() - ACTIVE_FOR
    active = sum(_is_since(user.last_activity, since) for user in users)
    servers = find_running_servers(host)
    largest = max((server.in_use_bytes for server in servers), default=0)
    with_access = sum(user.access != "none" for user in users)
    return MeasuredUse(with_access, active, len(servers), largest, _read_peak(host))


def _is_since(text: str, since: datetime) -> bool:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) >= since
    except (ValueError, TypeError):
        return False


def _read_peak(host: HostReader) -> int | None:
    """Return the most memory that all servers together had; None on kernels that do not say."""
    slices = parse_units(host.query(["systemctl", "show", "-p", "ControlGroup", SLICE]).out)
    group = next((unit.get("ControlGroup", "") for unit in slices), "").strip("/") or SLICE
    for pattern in CGROUP_PEAKS:
        text = (host.read(Path(pattern.format(group))) or b"").decode().strip()
        if text.isdigit():
            return int(text)
    return None


def choose_memory(config: Config, size: MachineSize, use: MeasuredUse) -> int:
    """Return the memory that one server is counted with: measured, within limit and a minimum.

    Until a server runs, it is that of the usual workload.
    """
    limit = config.limits.memory
    most = size.memory_bytes
    if limit is not None:
        most = compute_auto_memory(size) if limit == AUTO else parse_memory(limit)
    measured = use.largest_server_bytes or NORMAL.memory_bytes
    # A server of the moment may be idle: half of the usual workload at least.
    return min(max(measured, NORMAL.memory_bytes // 2), most)


def judge(size: MachineSize, use: MeasuredUse, need: Need) -> tuple[str, tuple[str, ...]]:
    """Return the verdict and its reasons."""
    if use.active_users == 0 and use.running == 0:
        return "unknown", ("no user has worked here in the last week",)
    reasons = []
    # A machine of 4 GB reports somewhat less.
    if size.memory_bytes < 0.9 * need.memory_bytes:
        reasons.append(
            f"{format_size(size.memory_bytes)} of memory, {format_size(need.memory_bytes)} needed"
        )
    if size.processors < need.processors:
        reasons.append(f"{size.processors} processors, {need.processors} needed")
    if reasons:
        return "small", tuple(reasons)
    peak = use.peak_bytes
    smaller = need.memory_bytes <= 0.5 * size.memory_bytes
    if smaller and peak is not None and peak < IDLE_SHARE * size.memory_bytes:
        share = f"servers never had more than {format_size(peak)} together"
        return "large", (f"{share} of {format_size(size.memory_bytes)}",)
    return "fits", ()


def choose_workload(workload: Workload, memory: str | None) -> Workload:
    """Return a workload, with another amount of memory for each server if one is given."""
    if memory is None:
        return workload
    return replace(workload, memory_bytes=parse_memory(memory))
