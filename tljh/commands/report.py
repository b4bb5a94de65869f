"""`tljh report`: the use of the machine in the last month, as text, as data or as a page."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.columns import format_columns
from tljh.commands.parameters import Option, Summary
from tljh.commands.report_page import render_page
from tljh.commands.report_words import (
    USER_HEADINGS,
    describe_coverage,
    list_figures,
    list_gaps,
    list_users,
)
from tljh.host.interface import Host
from tljh.host.real import RealHost
from tljh.operations.usage_report import Report, read_report

SHOWN_USERS = 20
BARS = "▁▂▃▄▅▆▇█"
# For terminals that are not in UTF-8.
PLAIN_BARS = ".:-=+*#@"


def draw_line(values: Sequence[float | None], bars: str = BARS, limit: float | None = None) -> str:
    """Return one letter for each value, higher for more; a space where there is none.

    The highest letter is for `limit`, or for the highest value without one.
    """
    highest = max((value for value in values if value), default=0)
    highest = max(highest, limit or 0)
    return "".join(_draw(value, highest, bars) for value in values)


def _draw(value: float | None, highest: float, bars: str) -> str:
    if value is None:
        return " "
    if not value:
        return bars[0]
    return bars[min(1 + int(value / highest * (len(bars) - 1)), len(bars) - 1)]


@dataclass(frozen=True)
class ReportText:
    """The report for a terminal: a line with a small plot for each number, and the users."""

    report: Report
    shows_all: bool

    def as_json(self) -> dict[str, Any]:
        return asdict(self.report)

    def as_text(self) -> str:
        report = self.report
        can_draw = (sys.stdout.encoding or "").lower().startswith("utf")
        bars = BARS if can_draw else PLAIN_BARS
        lines = [f"use of {report.hub}: {describe_coverage(report)}"]
        if report.is_empty:
            return lines[0]
        rows = []
        for figure in list_figures(report):
            rows.append((figure.name, draw_line(figure.values, bars, figure.limit), figure.summary))
        name_width = max(len(name) for name, _, _ in rows)
        lines.append("")
        lines += [f"{name.ljust(name_width)}  {plot}  {words}" for name, plot, words in rows]
        gaps = list_gaps(report)
        lines += ["", *gaps] if gaps else []
        lines += ["", *self._format_users()] if report.users else []
        return "\n".join(line.rstrip() for line in lines)

    def _format_users(self) -> list[str]:
        users = self.report.users
        listed = users if self.shows_all else users[:SHOWN_USERS]
        lines = format_columns([[each.upper() for each in USER_HEADINGS], *list_users(listed)])
        if len(users) > len(listed):
            lines.append(f"and {len(users) - len(listed)} more: sudo tljh report --all")
        if self.report.removed_users:
            lines.append(
                f"{format_count(self.report.removed_users, 'user')} with a number for a name: the "
                "account was deleted, and the name with it"
            )
        return lines


def report(
    *,
    week: Annotated[bool, Option("--week", "The last seven days, not all that is kept.")] = False,
    html: Annotated[
        str | None, Option("--html", "Write a page with plots into this file.", "FILE")
    ] = None,
    show_all: Annotated[bool, Option("--all", "All users, not only the first twenty.")] = False,
) -> ReportText | Summary:
    """Print what the machine and its users used in the last month, from samples by a timer."""
    host, paths = RealHost(), get_paths()
    content = read_report(host, paths, week)
    if html is None:
        return ReportText(content, show_all)
    return write_page(host, content, Path(html).absolute())


def write_page(host: Host, content: Report, place: Path) -> Summary:
    """Write the page, which only root can read, as it has names. Raises TljhError if it cannot."""
    info = host.info(place, follow=True)
    if info is not None and info.kind != "file":
        raise TljhError(f"--html needs a file, and this is none: {place}", exit_code=Exit.USAGE)
    if host.info(place.parent, follow=True) is None:
        raise TljhError(f"--html: there is no directory {place.parent}", exit_code=Exit.USAGE)
    host.write(place, render_page(content).encode(), mode=0o600)
    lines = (
        f"{describe_coverage(content)}",
        f"Written to {place}, which only root can read: it names users. Open it in a browser.",
    )
    return Summary(lines, {"path": str(place), "measured_s": content.measured_s})
