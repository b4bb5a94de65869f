"""The words and numbers of a report, the same on a terminal and on its page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from statistics import median
from typing import Any

from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.operations.usage_report import Day, Disk, Report, UserTotal

DAY_S = 86_400
SHOWN_AWAY = 5
USER_HEADINGS = (
    *("User", "Days", "Hours", "Memory", "CPU hours", "Starts", "Failed", "Kills", "Home"),
    "Growth",
)


@dataclass(frozen=True)
class Figure:
    """One number by day: its name, its values in `unit`, its summary, and the machine's limit.

    `parts` are values that are a part of each day's, such as the failed starts of all.
    """

    name: str
    unit: str
    values: tuple[float | None, ...]
    summary: str
    limit: float | None = None
    parts: tuple[float | None, ...] = ()
    part_name: str = ""
    is_line: bool = False

    def format(self, value: float) -> str:
        """Return a value with its unit."""
        if self.unit == "bytes":
            return format_size(int(value))
        if self.unit == "minutes":
            return format_span(int(value * 60))
        return f"{value:.2g}" if self.unit == "processors" and value < 10 else f"{value:g}"


def format_span(seconds: int) -> str:
    """Return a time as `12 min`, `3 h 5 min` or `2 days 3 h`."""
    minutes = max(round(seconds / 60), 1) if seconds else 0
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, rest = divmod(hours, 24)
    return f"{days} days {rest} h" if rest else f"{days} days"


def format_date(time_s: int) -> str:
    """Return the local time of a moment, as `Tue 24 Nov 14:03`."""
    moment = datetime.fromtimestamp(time_s)
    return f"{format_day(moment.date().isoformat())} {moment:%H:%M}"


def format_day(day: str) -> str:
    """Return a date as `Tue 24 Nov`."""
    moment = date.fromisoformat(day)
    return f"{moment:%a} {moment.day} {moment:%b}"


def format_hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:.0f}" if hours >= 10 else f"{hours:.1f}"


def format_processors(value: float) -> str:
    return f"{value:.1f}" if value >= 0.95 else f"{value:.2f}"


def describe_coverage(report: Report) -> str:
    """Return which days the report has, and what part of them was measured."""
    if report.is_empty:
        return (
            "nothing is measured yet; the first numbers come within minutes, and a report is "
            "worth reading after a day; if none comes: sudo systemctl status tljh-history.timer"
        )
    words = f"the last {format_count(report.length_days, 'day')}"
    if report.span_s < DAY_S:
        return (
            f"{words}, but the history is only {format_span(report.span_s)} old: look again "
            "after a day"
        )
    if report.span_s < (report.length_days - 1) * DAY_S:
        words += f", of which the history has {format_span(report.span_s)}"
    return words


def list_figures(report: Report) -> list[Figure]:
    """Return the figures of a report, in order."""
    days = report.days
    return [
        _build_users(report),
        Figure(
            "servers at once",
            "",
            tuple(day.servers for day in days),
            _join(_describe_highest(report, "servers", str)),
        ),
        Figure(
            "memory of servers",
            "bytes",
            tuple(day.server_bytes for day in days),
            _describe_memory(report),
            limit=report.memory_bytes,
        ),
        Figure(
            "processors",
            "processors",
            tuple(day.cpu_peak for day in days),
            _describe_processors(report),
            limit=report.processors,
            parts=tuple(day.cpu_mean for day in days),
            part_name="average of the day",
        ),
        Figure("starts", "", _list_counts(days, "starts"), _describe_starts(report)),
        Figure(
            "failed starts",
            "",
            _list_counts(days, "failed_starts"),
            _join(
                format_count(report.total("failed_starts"), "start") + " failed",
                _describe_highest(report, "failed_starts", str),
            ),
        ),
        Figure(
            "kills by memory",
            "",
            _list_counts(days, "kills"),
            _join(
                format_count(report.total("kills"), "time") + " the kernel ended a process",
                _describe_highest(report, "kills", str),
            ),
        ),
        *(_build_disk(disk) for disk in report.disks),
        Figure(
            "hub away",
            "minutes",
            tuple(day.away_s / 60 if day.is_measured else None for day in days),
            _describe_away(report),
        ),
    ]


def _join(*texts: str) -> str:
    return ", ".join(text for text in texts if text) or "none"


def _list_counts(days: Sequence[Day], name: str) -> tuple[float | None, ...]:
    return tuple(
        getattr(day, name) if day.is_measured or getattr(day, name) else None for day in days
    )


def _describe_highest(report: Report, name: str, describe: Callable[[Any], str]) -> str:
    """Return the most of a number with its day; empty if it was never above nothing."""
    day = report.highest(name)
    return f"at most {describe(getattr(day, name))} on {format_day(day.day)}" if day else ""


def _build_users(report: Report) -> Figure:
    days = report.days
    present = [day.users for day in days if day.users]
    typical = f"{median(present):g} on a usual day" if present else ""
    different = sum(user.days > 0 for user in report.users)
    return Figure(
        "users per day",
        "",
        _list_counts(days, "users"),
        _join(
            f"{different} in all" if present else "",
            _describe_highest(report, "users", str),
            typical,
        ),
    )


def _describe_memory(report: Report) -> str:
    most = report.highest("used_bytes")
    total = format_size(report.memory_bytes)
    whole = f"the machine {format_size(most.used_bytes or 0)} of {total}" if most else ""
    return _join(_describe_highest(report, "server_bytes", format_size), whole)


def _describe_processors(report: Report) -> str:
    measured = [day.cpu_mean for day in report.days if day.cpu_mean is not None]
    mean = f"{format_processors(sum(measured) / len(measured))} on average" if measured else ""
    of_all = f"of {report.processors}"
    highest = _describe_highest(report, "cpu_peak", lambda n: f"{format_processors(n)} {of_all}")
    return _join(highest, mean)


def _describe_starts(report: Report) -> str:
    return _join(
        format_count(report.total("starts"), "server") + " started",
        _describe_highest(report, "starts", str),
    )


def _build_disk(disk: Disk) -> Figure:
    used = [value for value in disk.used if value is not None]
    change = format_size(abs(disk.growth_bytes))
    direction = "more" if disk.growth_bytes >= 0 else "less"
    full = f"full in {format_count(disk.full_in_days, 'day')}" if disk.full_in_days else ""
    return Figure(
        f"disk {disk.mount}",
        "bytes",
        disk.used,
        _join(
            f"{format_size(used[-1])} of {format_size(disk.size_bytes)} used",
            f"{change} {direction} than at first" if disk.growth_bytes else "",
            f"{full} at this rate" if full else "",
        ),
        limit=disk.size_bytes,
        is_line=True,
    )


def _describe_away(report: Report) -> str:
    seconds = report.total("away_s")
    if not seconds:
        return "never"
    return f"{format_span(seconds)} in all, {format_count(len(report.away), 'time')}"


def list_users(users: Sequence[UserTotal]) -> list[tuple[str, ...]]:
    """Return a row of cells for each user."""
    return [
        (
            user.user,
            str(user.days),
            format_hours(user.running_s),
            format_size(user.peak_bytes),
            format_hours(user.cpu_s),
            str(user.starts),
            str(user.failed_starts),
            str(user.kills),
            "-" if user.home_bytes is None else format_size(user.home_bytes),
            _format_growth(user.growth_bytes),
        )
        for user in users
    ]


def _format_growth(growth_bytes: int | None) -> str:
    if not growth_bytes:
        return "-"
    return f"{'+' if growth_bytes > 0 else '-'}{format_size(abs(growth_bytes))}"


def list_gaps(report: Report) -> list[str]:
    """Return sentences on times when the hub was away or nothing was measured."""
    lines = [
        f"The hub did not answer for {format_span(away.seconds)} from {format_date(away.since)}."
        for away in report.away[-SHOWN_AWAY:]
    ]
    if len(report.away) > SHOWN_AWAY:
        lines.insert(0, f"The hub was away {len(report.away)} times; the last {SHOWN_AWAY}:")
    if report.is_stale:
        lines.append(
            f"Nothing is measured since {format_date(report.last_sample)}: "
            "sudo systemctl status tljh-history.timer tljh-history.service"
        )
    gaps = [day for day in report.days if day.unmeasured_s]
    if gaps:
        total = format_span(sum(day.unmeasured_s for day in gaps))
        names = ", ".join(format_day(day.day) for day in gaps[-SHOWN_AWAY:])
        lines.append(f"Nothing was measured for {total}, the machine was off or asleep: {names}.")
    return lines
