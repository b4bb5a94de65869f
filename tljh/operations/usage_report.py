"""The report of the machine's use: the history, added up by day, by user and in whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.host.usage_history import (
    DiskUse,
    HomeSize,
    UsageRecord,
    UsageSample,
    UserDay,
    read_history,
)
from tljh.operations.alerts import name_hub
from tljh.operations.checks import examine_machine
from tljh.operations.usage_events import get_local_day

WEEK_DAYS = 7
# A gap is worth a word from here on; a reboot and the time between two samples are shorter.
LEAST_GAP_S = 900
# From so much growth on, the days until the disk is full are worth a line.
LEAST_GROWTH = 0.01


@dataclass(frozen=True)
class Day:
    """One local day; values are None where nothing was measured on it.

    `cpu_peak` is the most processors in use by all, over three minutes, `cpu_mean` the average.
    """

    day: str
    users: int = 0
    servers: int | None = None
    server_bytes: int | None = None
    used_bytes: int | None = None
    cpu_peak: float | None = None
    cpu_mean: float | None = None
    starts: int = 0
    failed_starts: int = 0
    kills: int = 0
    away_s: int = 0
    unmeasured_s: int = 0

    @property
    def is_measured(self) -> bool:
        return self.servers is not None


@dataclass(frozen=True)
class Away:
    """A time in which the hub did not answer, as far as samples show it."""

    since: int
    seconds: int


@dataclass(frozen=True)
class UserTotal:
    """What one user used in the whole time; `growth_bytes` is None without two measurements."""

    user: str
    days: int
    running_s: int
    peak_bytes: int
    cpu_s: float
    starts: int
    failed_starts: int
    kills: int
    home_bytes: int | None = None
    growth_bytes: int | None = None


@dataclass(frozen=True)
class Disk:
    """How a file system filled; `used` is by day, with None where it was not measured."""

    mount: str
    size_bytes: int
    used: tuple[int | None, ...]
    growth_bytes: int
    full_in_days: int | None


@dataclass(frozen=True)
class Report:
    """All numbers of a report; `measured_s` of the `span_s` since `since` were measured.
    `last_sample` is 0 without one.

    Times are in Unix seconds, days are local. `removed_users` are those whose names were forgotten.
    """

    hub: str
    length_days: int
    since: int
    until: int
    span_s: int
    measured_s: int
    last_sample: int
    memory_bytes: int
    processors: int
    days: tuple[Day, ...]
    users: tuple[UserTotal, ...]
    disks: tuple[Disk, ...]
    away: tuple[Away, ...]
    removed_users: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.measured_s

    @property
    def is_stale(self) -> bool:
        """Return whether nothing is measured at present, although the machine runs."""
        return bool(self.last_sample) and self.until - self.last_sample >= LEAST_GAP_S

    def total(self, name: str) -> int:
        """Return the sum of a number of all days."""
        return sum(getattr(day, name) for day in self.days)

    def highest(self, name: str) -> Day | None:
        """Return the day with the most of a number, the latest of several."""
        days = [day for day in self.days if getattr(day, name)]
        return max(reversed(days), key=lambda day: float(getattr(day, name)), default=None)


def read_report(host: HostReader, paths: Paths, week: bool) -> Report:
    """Add up the history. Raises TljhError if no hub is installed, or none is kept."""
    config = examine_machine(host, paths).config
    if config is None:
        raise TljhError(
            f"there is no working configuration of a hub at {paths.prefix}", fix="sudo tljh status"
        )
    kept = config.housekeeping.history
    if kept == 0:
        raise TljhError(
            "no history of use is kept on this machine",
            why="housekeeping.history is 0",
            fix="sudo tljh-config unset housekeeping.history && sudo tljh-config reload",
        )
    return build_report(
        read_history(paths.usage_history),
        int(get_utc_time().timestamp()),
        min(WEEK_DAYS, kept) if week else kept,
        hub=name_hub(host, config),
    )


def build_report(history: UsageRecord, now_s: int, length_days: int, *, hub: str = "hub") -> Report:
    """Add up what was measured in the last so many local days, today included."""
    days = list_days(now_s, length_days)
    start = int(_midnight(days[0]).timestamp())
    # A clock that was ahead may have left samples in the future.
    samples = [each for each in history.samples if start <= each.time_s <= now_s]
    user_days = [each for each in history.user_days if days[0] <= each.day <= days[-1]]
    # The first sample covers nothing: from it on, time counts.
    since = samples[0].time_s - samples[0].covered_s if samples else now_s
    since = max(since, start)
    last = samples[-1] if samples else None
    users = add_users(user_days, history.homes, days)
    return Report(
        hub,
        length_days,
        since,
        now_s,
        now_s - since,
        min(sum(each.covered_s for each in samples), now_s - since),
        last.time_s if last else 0,
        last.memory_bytes if last else 0,
        last.processors if last else 0,
        tuple(add_days(samples, user_days, days, since, now_s)),
        tuple(users),
        tuple(add_disks(history.disks, days)),
        tuple(find_away(samples)),
        sum(each.user.startswith("#") for each in users),
    )


def list_days(now_s: int, length_days: int) -> list[str]:
    """Return the local dates of the last days, today last."""
    today = datetime.fromtimestamp(now_s).date()
    return [(today - timedelta(days=back)).isoformat() for back in range(length_days - 1, -1, -1)]


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), datetime.min.time())


def add_days(
    samples: Sequence[UsageSample],
    user_days: Iterable[UserDay],
    days: Sequence[str],
    since: int,
    now_s: int,
) -> list[Day]:
    """Return each day, oldest first; what was not measured since the first sample is counted."""
    by_day: dict[str, list[UsageSample]] = defaultdict(list)
    for sample in samples:
        by_day[get_local_day(sample.time_s)].append(sample)
    users: dict[str, list[UserDay]] = defaultdict(list)
    for each in user_days:
        users[each.day].append(each)
    return [_add_day(day, by_day[day], users[day], since, now_s) for day in days]


def _add_day(
    day: str, samples: Sequence[UsageSample], users: Sequence[UserDay], since: int, now_s: int
) -> Day:
    midnight = _midnight(day)
    start = max(int(midnight.timestamp()), since)
    end = min(int((midnight + timedelta(days=1)).timestamp()), now_s)
    covered_s = sum(each.covered_s for each in samples)
    gap_s = max(end - start - covered_s, 0)
    counts = {
        name: sum(getattr(each, name) for each in users)
        for name in ("starts", "failed_starts", "kills")
    }
    # Someone whose only start failed did not work on that day.
    present = sum(each.running_s > 0 or each.starts > 0 for each in users)
    gap_s = gap_s if gap_s >= LEAST_GAP_S else 0
    if not samples:
        return Day(day, present, unmeasured_s=gap_s, **counts)
    used = sum(each.used_processors * each.covered_s for each in samples)
    return Day(
        day,
        present,
        max(each.servers for each in samples),
        max(each.server_bytes for each in samples),
        max(each.used_bytes for each in samples),
        max(each.used_processors for each in samples),
        round(used / max(covered_s, 1), 3),
        away_s=sum(each.covered_s for each in samples if not each.is_hub_up),
        unmeasured_s=gap_s,
        **counts,
    )


def find_away(samples: Sequence[UsageSample]) -> list[Away]:
    """Return the times in which the hub did not answer, each from several samples in a row."""
    times: list[Away] = []
    was_up = True
    # The first sample, and one after a jump of the clock, covers no time.
    for sample in (each for each in samples if each.covered_s):
        if not sample.is_hub_up:
            if was_up:
                times.append(Away(sample.time_s - sample.covered_s, 0))
            seconds = times[-1].seconds + sample.covered_s
            times[-1] = Away(times[-1].since, seconds)
        was_up = sample.is_hub_up
    return times


def add_users(
    user_days: Iterable[UserDay], homes: Iterable[HomeSize], days: Sequence[str]
) -> list[UserTotal]:
    """Return what each user used, the most time of processors first."""
    by_user: dict[str, list[UserDay]] = defaultdict(list)
    for each in user_days:
        by_user[each.user].append(each)
    sizes: dict[str, list[HomeSize]] = defaultdict(list)
    for size in homes:
        if size.day <= days[-1]:
            sizes[size.user].append(size)
    totals = [
        UserTotal(
            user,
            sum(each.running_s > 0 or each.starts > 0 for each in rows),
            sum(each.running_s for each in rows),
            max((each.peak_bytes for each in rows), default=0),
            round(sum(each.cpu_s for each in rows), 1),
            sum(each.starts for each in rows),
            sum(each.failed_starts for each in rows),
            sum(each.kills for each in rows),
            sizes[user][-1].size_bytes if sizes[user] else None,
            _compute_growth(sizes[user], days[0]),
        )
        for user, rows in ((user, by_user[user]) for user in {*by_user, *sizes})
    ]
    return sorted(
        totals, key=lambda each: (-each.cpu_s, -each.running_s, -(each.home_bytes or 0), each.user)
    )


def _compute_growth(sizes: Sequence[HomeSize], first_day: str) -> int | None:
    """Return the growth since the first day, from sizes that are kept where they changed."""
    if not sizes:
        return None
    before = [each for each in sizes if each.day <= first_day]
    first = before[-1] if before else sizes[0]
    return sizes[-1].size_bytes - first.size_bytes


def add_disks(disks: Iterable[DiskUse], days: Sequence[str]) -> list[Disk]:
    """Return how each file system filled in these days."""
    by_mount: dict[str, dict[str, DiskUse]] = defaultdict(dict)
    for each in disks:
        if days[0] <= each.day <= days[-1]:
            by_mount[each.mount][each.day] = each
    result = []
    for mount, uses in sorted(by_mount.items()):
        first, last = uses[min(uses)], uses[max(uses)]
        growth = last.used_bytes - first.used_bytes
        length = (date.fromisoformat(last.day) - date.fromisoformat(first.day)).days
        full_in = None
        if length >= 2 and growth > LEAST_GROWTH * last.size_bytes:
            full_in = int((last.size_bytes - last.used_bytes) * length / growth)
        used = tuple(uses[day].used_bytes if day in uses else None for day in days)
        result.append(Disk(mount, last.size_bytes, used, growth, full_in))
    return result
