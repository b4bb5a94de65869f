"""Whether the machine fits its users, from what is measured on it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.sizes import format_size
from tljh.host.usage_history import UsageRecord, read_history
from tljh.operations.checks import examine_machine
from tljh.operations.user_changes import read_users
from tljh.settings.sections.limits import AUTO, parse_memory
from tljh.singleuser.limits import MachineSize, compute_auto_memory, read_machine_size
from tljh.singleuser.running_servers import find_running_servers, read_slice_use
from tljh.singleuser.sizing import NORMAL, Need, Workload, compute_need

if TYPE_CHECKING:
    from tljh.host.interface import Host
    from tljh.settings.root import Config

ACTIVE_FOR = timedelta(days=7)
# Less than that in use at the busiest moment seen: a smaller machine would do.
IDLE_SHARE = 0.35


@dataclass(frozen=True)
class MeasuredUse:
    """What is known of the use: users, and memory of all servers since the slice started.

    `most_at_once` are the servers that ran at the same time in the last `measured_days`; it is None
    where the history of use is younger than a week. Memory is then the highest of that time, too.
    """

    users: int
    active_users: int
    running: int
    largest_server_bytes: int
    peak_bytes: int | None
    most_at_once: int | None = None
    measured_days: int = 0

    @property
    def at_once(self) -> int:
        """The servers to have room for: measured, or all users who were active in a week."""
        counted = self.active_users if self.most_at_once is None else self.most_at_once
        return max(counted, self.running, 1)


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
    workload = replace(NORMAL, name="measured", memory_bytes=memory)
    need = compute_need(max(use.users, 1), use.at_once, workload)
    return Sizing(size, use, need, *judge(size, use, need))


def measure_use(host: Host, paths: Paths) -> MeasuredUse:
    """Count users, and read the memory of servers from their cgroups."""
    users = list(read_users(host, paths).directory.users.values())
    since = get_utc_time() - ACTIVE_FOR
    active = sum(_is_since(user.last_activity, since) for user in users)
    servers = find_running_servers(host)
    largest = max((server.in_use_bytes for server in servers), default=0)
    with_access = sum(user.access != "none" for user in users)
    use = MeasuredUse(with_access, active, len(servers), largest, read_slice_use(host).peak_bytes)
    return add_history(use, read_history(paths.usage_history), int(get_utc_time().timestamp()))


def add_history(use: MeasuredUse, history: UsageRecord, now_s: int) -> MeasuredUse:
    """Return the use with what was measured in the last weeks, if that is a week at least."""
    samples = [sample for sample in history.samples if sample.time_s <= now_s]
    measured_s = sum(sample.covered_s for sample in samples)
    if measured_s < ACTIVE_FOR.total_seconds():
        return use
    peaks = sorted(each.peak_bytes for each in history.user_days if each.peak_bytes)
    # Of ten days of a user, one may be out of the ordinary: that is what limits are for.
    usual = peaks[int(len(peaks) * 0.9)] if peaks else 0
    return replace(
        use,
        largest_server_bytes=usual or use.largest_server_bytes,
        peak_bytes=max([use.peak_bytes or 0, *(sample.server_bytes for sample in samples)]),
        most_at_once=max(sample.servers for sample in samples),
        measured_days=round(measured_s / 86_400),
    )


def _is_since(text: str, since: datetime) -> bool:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) >= since
    except (ValueError, TypeError):
        return False


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
