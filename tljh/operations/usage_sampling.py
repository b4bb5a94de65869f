"""What the timer of the history runs: one sample of the machine's use, and the sizes of homes.

    python -m tljh.operations.usage_sampling sample DAYS
    python -m tljh.operations.usage_sampling homes

It is no verb of `tljh`, because it runs every few minutes: importing all that a verb needs would
take several times as long as the sample.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, get_paths
from tljh.host.accounts import find_managed_accounts, get_login
from tljh.host.hub_identity import HUB_ORIGIN
from tljh.host.interface import HostReader
from tljh.host.loopback_probe import answers
from tljh.host.machine_memory import read_memory
from tljh.host.real import RealHost
from tljh.host.usage_history import DiskUse, HistoryDamaged, UsageSample, UserDay, open_history
from tljh.operations.usage_events import (
    UsageEvent,
    count_events,
    get_local_day,
    map_units,
    read_events,
)
from tljh.singleuser.memory_kills import count_memory_kills
from tljh.singleuser.running_servers import (
    RunningServer,
    SliceUse,
    find_running_servers,
    read_memory_peak,
    read_slice_use,
)

# As the timer's unit has it; a test compares.
EVERY_S = 180
# Above that, nobody measured: the machine slept, or its timers did not run.
MOST_COVERED_S = 3 * EVERY_S
# A hub that restarts answers when it is there again.
HUB_TIMEOUT_S = 10.0
# Before it, the clock may not have been set yet: what is old by it is not deleted.
CLOCK_IS_SET_AFTER_S = 900
MOST_DRIFT_S = 60


@dataclass(frozen=True)
class ServerReading:
    """A running server, with the most memory that it ever had, and how often it lacked memory."""

    unit: RunningServer
    login: str
    peak_bytes: int | None
    kills: int = 0

    @property
    def key(self) -> str:
        return self.unit.invocation or self.unit.unit


@dataclass(frozen=True)
class Reading:
    """What the kernel counts at one moment; processor times are since the boot or the start."""

    time_s: int
    boot: str
    uptime_s: float
    is_hub_up: bool
    servers: tuple[ServerReading, ...]
    slice: SliceUse
    used_bytes: int
    memory_bytes: int
    processors: int
    busy_s: float

    def as_counters(self) -> dict[str, Any]:
        """Return what the next sample subtracts."""
        return {
            "time_s": self.time_s,
            "boot": self.boot,
            "uptime_s": self.uptime_s,
            "busy_s": self.busy_s,
            "slice_peak": self.slice.peak_bytes,
            "servers": {
                server.key: [server.unit.cpu_s, server.peak_bytes, server.kills]
                for server in self.servers
            },
        }


def read_moment(host: HostReader, paths: Paths, time_s: int) -> Reading:
    """Read the machine and all running servers."""
    accounts: dict[str, str] = {}
    servers = []
    for server in find_running_servers(host):
        if server.account not in accounts:
            user = host.user(server.account)
            accounts[server.account] = get_login(user) if user else ""
        if accounts[server.account]:
            servers.append(
                ServerReading(
                    server,
                    accounts[server.account],
                    read_memory_peak(host, server.control_group) if server.control_group else None,
                    count_memory_kills(host, server.unit),
                )
            )
    memory = read_memory(host)
    total = memory.get("MemTotal", 0)
    ticks = _read(host, "/proc/stat").partition("\n")[0].split()[1:9]
    idle = sum(map(int, ticks[3:5]))
    return Reading(
        time_s,
        _read(host, "/proc/sys/kernel/random/boot_id").strip(),
        float((_read(host, "/proc/uptime").split() or ["0"])[0]),
        answers(f"{HUB_ORIGIN}{_read_base_url(host, paths)[1:]}hub/health", HUB_TIMEOUT_S, paths),
        tuple(servers),
        read_slice_use(host),
        total - memory.get("MemAvailable", total),
        total,
        _read(host, "/proc/cpuinfo").count("processor\t") or 1,
        # The kernel's unit is a hundredth of a second for all programs.
        (sum(map(int, ticks)) - idle) / 100,
    )


def _read(host: HostReader, path: str) -> str:
    return (host.read(Path(path)) or b"").decode(errors="replace")


def _read_traits(host: HostReader, paths: Paths) -> Mapping[str, Any]:
    with contextlib.suppress(ValueError):
        traits = json.loads(host.read(paths.applied.hub_file) or b"{}")
        if isinstance(traits, dict):
            return traits
    return {}


def _read_base_url(host: HostReader, paths: Paths) -> str:
    bind = str(_read_traits(host, paths).get("JupyterHub", {}).get("bind_url", ""))
    return urlsplit(bind).path or "/"


def compute_sample(reading: Reading, before: Mapping[str, Any]) -> UsageSample:
    """Return what was used since the last sample, whose counters are `before`."""
    is_same_boot = before.get("boot") == reading.boot
    elapsed_s = reading.uptime_s - (float(before["uptime_s"]) if is_same_boot else 0.0)
    busy_s = reading.busy_s
    if is_same_boot:
        busy_s -= float(before["busy_s"])
    in_use = max(
        reading.slice.in_use_bytes, sum(each.unit.in_use_bytes for each in reading.servers)
    )
    peak = reading.slice.peak_bytes
    # Before the first sample, nobody knows when the peak was reached.
    last_peak = before.get("slice_peak") if before else peak
    # An average above all processors is a jump of the uptime.
    used = min(max(busy_s / max(elapsed_s, 1.0), 0.0), float(reading.processors))
    return UsageSample(
        reading.time_s,
        max(0, min(round(elapsed_s), MOST_COVERED_S)) if before else 0,
        reading.is_hub_up,
        len(reading.servers),
        _choose_peak(in_use, peak, last_peak),
        reading.used_bytes,
        reading.memory_bytes,
        round(used, 3) if before else 0.0,
        reading.processors,
    )


def _choose_peak(in_use: int, peak: int | None, last_peak: int | None) -> int:
    """Return the most memory since the last sample: a peak that is another one was reached since.

    It is lower than the last one where the control group is a new one.
    """
    return in_use if peak is None or peak == last_peak else max(in_use, peak)


def compute_user_days(
    reading: Reading, sample: UsageSample, before: Mapping[str, Any], events: list[UsageEvent]
) -> list[UserDay]:
    """Return what each user used since the last sample."""
    today = get_local_day(reading.time_s)
    earlier: Mapping[str, Any] = before.get("servers", {})
    is_running: set[str] = set()
    counts = count_events(events)
    kills: Counter[str] = Counter()
    rows = []
    for server in reading.servers:
        cpu_s, last_peak, last_kills = earlier.get(server.key, (0.0, None, 0))
        # The time counts once for a user with two servers.
        running_s = 0 if server.login in is_running else sample.covered_s
        is_running.add(server.login)
        kills[server.login] += max(server.kills - last_kills, 0) if before else 0
        rows.append(
            UserDay(
                today,
                server.login,
                running_s,
                _choose_peak(
                    server.unit.in_use_bytes,
                    server.peak_bytes,
                    last_peak if before else server.peak_bytes,
                ),
                max(server.unit.cpu_s - cpu_s, 0.0) if before else 0.0,
            )
        )
    for login, count in kills.items():
        # With cgroup v1, systemd logs no kill; those that it logged are not counted twice.
        logged = sum(counts[key] for key in counts if key[1:] == (login, "kill"))
        if count > logged:
            rows.append(UserDay(today, login, kills=count - logged))
    for (day, login, kind), count in counts.items():
        rows.append(
            UserDay(
                day,
                login,
                starts=count if kind == "start" else 0,
                failed_starts=count if kind == "failed start" else 0,
                kills=count if kind == "kill" else 0,
            )
        )
    return rows


def is_clock_reliable(reading: Reading, before: Mapping[str, Any]) -> bool:
    """Return whether the clock ran on evenly since the last sample, on a machine that is up.

    A clock that jumped by years must not make all of the history old.
    """
    if before.get("boot") != reading.boot or reading.uptime_s < CLOCK_IS_SET_AFTER_S:
        return False
    elapsed_s = reading.uptime_s - float(before["uptime_s"])
    return abs((reading.time_s - int(before["time_s"])) - elapsed_s) <= MOST_DRIFT_S


def read_disks(host: HostReader, paths: Paths, day: str) -> list[DiskUse]:
    """Return how full the file systems of the machine, the homes and the installation are."""
    spawner = _read_traits(host, paths).get("UserCreatingSpawner", {})
    home_root = str(spawner.get("home_root", Paths.homes))
    argv = ["df", "--output=target,used,size", "-B1", "/", home_root, str(paths.prefix)]
    disks = []
    # A directory that does not exist yet is no reason to see nothing of the others.
    for line in dict.fromkeys(host.query(argv).out.splitlines()[1:]):
        mount, used, size = line.rsplit(maxsplit=2)
        disks.append(DiskUse(day, mount, int(used), int(size)))
    return disks


def take_sample(host: HostReader, paths: Paths, days: int, time_s: int) -> None:
    """Add one sample to the history. Raises TljhError if it cannot be written."""
    reading = read_moment(host, paths, time_s)
    with open_history(paths.usage_history) as history:
        before = history.read_counters()
        events, cursor = read_events(host, str(before.get("cursor", "")), map_units(host))
        sample = compute_sample(reading, before)
        history.add(
            sample,
            compute_user_days(reading, sample, before, events),
            read_disks(host, paths, get_local_day(time_s)),
            {server.login: server.unit.account for server in reading.servers},
            {**reading.as_counters(), "cursor": cursor},
        )
        if is_clock_reliable(reading, before):
            first = datetime.fromtimestamp(time_s) - timedelta(days=days)
            history.prune(int(first.timestamp()), first.date().isoformat())
            history.forget_missing(frozenset(user.name for user in host.all_users()), time_s)


def measure_homes_for_history(host: HostReader, paths: Paths, time_s: int) -> None:
    """Measure all homes, which takes minutes where they are large, and add their sizes."""
    from tljh.operations.disk_usage import measure_homes

    logins = {user.name: get_login(user) for user in find_managed_accounts(host)}
    sizes = {usage.name: usage.size_bytes for usage in measure_homes(host)}
    with open_history(paths.usage_history) as history:
        history.add_homes(
            get_local_day(time_s),
            {login: sizes[account] for account, login in logins.items() if account in sizes},
            {login: account for account, login in logins.items()},
        )


def main(words: list[str]) -> int:
    host, paths, time_s = RealHost(), get_paths(), int(time.time())
    try:
        if words[:1] == ["homes"]:
            measure_homes_for_history(host, paths, time_s)
            return 0
        try:
            take_sample(host, paths, int(words[1]), time_s)
        except HistoryDamaged as error:
            print(error, file=sys.stderr)
            take_sample(host, paths, int(words[1]), time_s)
    except TljhError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
