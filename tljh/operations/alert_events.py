"""The events that alerts report, as seen on this machine. None of it needs a running hub."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from shlex import quote
from typing import TYPE_CHECKING

from tljh.alerts.checks import ALERTS_CHECK
from tljh.alerts.events import AlertState, Event
from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.base.sizes import format_size
from tljh.base.well_known import HUB_UNIT
from tljh.certificates.machine_names import find_addresses, is_address
from tljh.engine.journal import Journal
from tljh.host.interface import HostReader
from tljh.host.machine_memory import read_memory
from tljh.operations.checks import ReportedFinding, examine_machine, run_checks
from tljh.operations.failed_starts import FAILED_START
from tljh.plugins.checks import CheckedMachine

if TYPE_CHECKING:
    from tljh.settings.root import Config

# A reload restarts the hub, a crashed one is started again: neither is an event.
HUB_DEADLINE_S = 90.0
POLL_S = 3.0
# A short peak is no event.
MEMORY_PAUSE_S = 20.0
# An event ends once the use is so much lower, or a disk at the limit would be one every time.
HYSTERESIS_PERCENT = 3
LOG_PERIOD_S = 900
ROLLED_BACK_FOR = timedelta(days=1)

# These have a separate event, or cannot be reported by themselves.
_OWN_EVENTS = frozenset({"units", "answers", "installed", "disk", ALERTS_CHECK})
_HUB_CHECKS = frozenset({"units", "answers", "installed"})

# As our login_guard.py writes it; a test compares.
_REFUSED_LOGIN = re.compile(r"Login of .* from .* has to wait")


@dataclass(frozen=True)
class Watched:
    """What events are looked for on: the machine, and what was open at the last look."""

    subject: CheckedMachine
    config: Config
    state: AlertState

    @property
    def host(self) -> HostReader:
        return self.subject.host

    def was_open(self, name: str) -> bool:
        return name in self.state.open


Watch = Callable[[Watched], Iterator[Event]]


def find_events(subject: CheckedMachine, config: Config, state: AlertState) -> list[Event]:
    """Return the events that last, without those that the settings ignore.

    A look that fails is an event, too, and the others still run. This takes up to two minutes
    while the hub or the memory is in a bad state: only what lasts is an event.
    """
    watched = Watched(subject, config, state)
    events: list[Event] = []
    for watch in WATCHES:
        try:
            events += watch(watched)
        except (TljhError, OSError, ValueError) as error:
            name = watch.__name__.removeprefix("_find_")
            events.append(Event(f"look-{name}", f"the look for {name} failed", why=str(error)))
    return [event for event in events if event.name not in config.alerts.ignore]


def _find_checks(watched: Watched) -> Iterator[Event]:
    """Yield one event for each check of `tljh status` that reports something."""
    reported = _run_checks(watched.subject)
    wait_s = 0 if watched.was_open("hub") else HUB_DEADLINE_S
    end_s = watched.host.monotonic_s() + wait_s
    while _is_hub_broken(reported) and watched.host.monotonic_s() < end_s:
        watched.host.pause(POLL_S)
        # Examined again: a reload may have applied another configuration.
        reported = _run_checks(examine_machine(watched.host, watched.subject.paths))
    by_check: dict[str, list[Finding]] = {}
    for item in reported:
        if item.check in _HUB_CHECKS:
            by_check.setdefault("hub", []).append(item.finding)
        elif item.check not in _OWN_EVENTS:
            by_check.setdefault(item.check.replace(" ", "-"), []).append(item.finding)
    for name, findings in by_check.items():
        first, *more = findings
        also = "".join(f"; {finding.what}" for finding in more)
        yield Event(name, first.what + also, first.why or "", first.fix or "")


def _run_checks(subject: CheckedMachine) -> list[ReportedFinding]:
    reported = run_checks(subject, quick_only=True)
    return [item for item in reported if item.severity is not Severity.FINE]


def _is_hub_broken(reported: list[ReportedFinding]) -> bool:
    return any(item.check in _HUB_CHECKS for item in reported)


def _find_rollback(watched: Watched) -> Iterator[Event]:
    """Yield an event for a day, unless a later change is kept: an admin may have given it up."""
    entry = Journal(watched.subject.paths.journal_dir).last_rolled_back(watched.host)
    if entry and get_utc_time() - datetime.fromisoformat(entry.time) < ROLLED_BACK_FOR:
        yield Event(
            "rolled-back",
            f"a change was rolled back: {entry.command}",
            why=f"{entry.user} ran it at {entry.time}; the state before it is in effect",
            fix="correct the cause that it printed, then: sudo tljh-config reload",
        )


def _find_disks(watched: Watched) -> Iterator[Event]:
    limit = watched.config.alerts.disk_percent
    homes, prefix = watched.config.users.home_root, str(watched.subject.paths.prefix)
    # A directory that does not exist yet is no reason to see nothing of the others.
    argv = ["df", "--output=target,pcent,ipcent,avail", "-B1", "/", homes, prefix]
    for line in dict.fromkeys(watched.host.query(argv).out.splitlines()[1:]):
        target, used, inodes, free = line.split()
        name = "disk" if target == "/" else f"disk-{target.strip('/').replace('/', '-')}"
        most = limit - (HYSTERESIS_PERCENT if watched.was_open(name) else 0)
        percent = _read_percent(used)
        if percent >= most:
            yield Event(
                name,
                f"the disk of {target} is {percent} % full, {format_size(int(free))} left",
                why=f"alerts.disk_percent is {limit}",
                fix="sudo tljh disk --clean; see who and what takes it: sudo tljh disk",
            )
        elif _read_percent(inodes) >= most:
            yield Event(
                name,
                f"the disk of {target} has used {inodes} of its inodes",
                why="each file takes one",
                fix=f"sudo du --inodes -xd2 {quote(target)} | sort -n | tail",
            )


def _read_percent(text: str) -> int:
    digits = text.rstrip("%")
    # File systems without a fixed number of inodes print "-".
    return int(digits) if digits.isdigit() else 0


def _find_memory(watched: Watched) -> Iterator[Event]:
    limit = watched.config.alerts.memory_percent
    most = limit - (HYSTERESIS_PERCENT if watched.was_open("memory") else 0)
    percent = _read_memory_percent(watched.host)
    if percent < most:
        return
    watched.host.pause(MEMORY_PAUSE_S)
    percent = _read_memory_percent(watched.host)
    if percent >= most:
        yield Event(
            "memory",
            f"{percent} % of the machine's memory is in use",
            why=f"alerts.memory_percent is {limit}",
            fix="stop idle servers on the hub's admin page, lower limits.memory, or choose a "
            "larger machine",
        )


def _read_memory_percent(host: HostReader) -> int:
    memory = read_memory(host)
    total = memory.get("MemTotal", 0)
    return 100 - 100 * memory.get("MemAvailable", total) // total if total else 0


def _find_failed_starts(watched: Watched) -> Iterator[Event]:
    count = _count_lines(watched.host, FAILED_START)
    if count >= watched.config.alerts.failed_starts:
        yield Event(
            "failed-starts",
            "users' servers fail to start",
            why=f"{count} starts failed in the last {LOG_PERIOD_S // 60} minutes",
            fix="see why: sudo tljh logs; of one user: sudo tljh logs --user NAME",
        )


def _find_guessing(watched: Watched) -> Iterator[Event]:
    count = _count_lines(watched.host, _REFUSED_LOGIN)
    if count >= watched.config.alerts.refused_logins:
        yield Event(
            "guessing",
            "passwords are guessed at the hub's login page",
            why=f"{count} logins were refused in the last {LOG_PERIOD_S // 60} minutes; names and "
            "addresses are in the log",
            fix=f"see: sudo journalctl -u {HUB_UNIT} --since -1h | grep 'has to wait'",
        )


def _count_lines(host: HostReader, pattern: re.Pattern[str]) -> int:
    argv = ["journalctl", "-u", HUB_UNIT, "--since", f"-{LOG_PERIOD_S}s"]
    lines = host.query([*argv, "--no-pager", "-q", "-o", "cat"]).out.splitlines()
    return sum(bool(pattern.search(line)) for line in lines)


def _find_address(watched: Watched) -> Iterator[Event]:
    """Yield an event while the machine has another address than when all was well.

    It ends when the hub's names lead here, or when the address is the earlier one again.
    """
    own, before = read_own_address(watched.host), watched.state.address
    if own is None or before is None or own == before or names_lead_here(watched):
        return
    yield Event(
        "address",
        f"the machine's address has changed from {before} to {own}",
        why="names and links lead users to the earlier one",
        fix="correct the DNS record of the hub's name, or have your provider reserve the address; "
        "if it is meant to be: sudo tljh alerts accept address",
    )


def names_lead_here(watched: Watched) -> bool:
    """Return whether the hub has names, and all of them resolve to an address of this machine."""
    names = [name for name in watched.config.https.names if not is_address(name)]
    names = [name for name in names if not name.startswith("*.")]
    own = set(find_addresses(watched.host))
    return bool(names) and all(own & set(watched.host.addresses_of(name)) for name in names)


def read_own_address(host: HostReader) -> str | None:
    """Return the source address of this machine's default route; None without a route."""
    # 192.0.2.1 is a documentation address: no packet is sent, the kernel only looks up the route.
    words = host.query(["ip", "-4", "-o", "route", "get", "192.0.2.1"]).out.split()
    return words[words.index("src") + 1] if "src" in words else None


WATCHES: tuple[Watch, ...] = (
    _find_checks,
    _find_rollback,
    _find_disks,
    _find_memory,
    _find_failed_starts,
    _find_guessing,
    _find_address,
)
