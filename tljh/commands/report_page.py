"""The page of a report: plots as SVG and tables, in one file that needs no network."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any

from tljh.commands.report_words import (
    USER_HEADINGS,
    Figure,
    describe_coverage,
    format_date,
    format_day,
    list_figures,
    list_gaps,
    list_users,
)
from tljh.operations.usage_events import get_local_day
from tljh.operations.usage_report import Report

# Of a plot, in the units of its view box: a phone shows it with three quarters of that.
WIDTH, HEIGHT = 460, 200
LEFT, RIGHT, TOP, BOTTOM = 58, 22, 14, 26
MOST_TICKS = 4
MOST_DATES = 5
GAP = 0.22


@dataclass(frozen=True)
class Bar:
    """One day of a plot: where its column is, how high it and its part are, and its tooltip."""

    x: float
    width: float
    y: float
    height: float
    title: str
    is_missing: bool = False
    part_y: float | None = None


@dataclass(frozen=True)
class Mark:
    """A label on an axis, at its place in the plot."""

    place: float
    text: str


@dataclass(frozen=True)
class Plot:
    """What the template draws of one figure; `line` is a path for what is no sum of a day."""

    name: str
    summary: str
    bars: tuple[Bar, ...]
    ticks: tuple[Mark, ...]
    dates: tuple[Mark, ...]
    limit_y: float | None
    part_name: str
    line: str


def draw(figure: Figure, days: list[str]) -> Plot:
    """Compute the plot of a figure."""
    ticks = choose_ticks(figure)
    top = ticks[-1]
    step = (WIDTH - LEFT - RIGHT) / len(days)
    base = HEIGHT - BOTTOM

    def height_of(value: float) -> float:
        return round((base - TOP) * min(value / top, 1.0), 1)

    bars = []
    for place, (day, value) in enumerate(zip(days, figure.values, strict=True)):
        x = round(LEFT + place * step + step * GAP / 2, 1)
        height = height_of(value or 0)
        part = figure.parts[place] if figure.parts else None
        words = "not measured" if value is None else figure.format(value)
        if part is not None:
            words += f", {figure.part_name} {figure.format(part)}"
        bars.append(
            Bar(
                x,
                round(step * (1 - GAP), 1),
                round(base - height, 1),
                height,
                f"{format_day(day)}: {words}",
                value is None,
                round(base - height_of(part), 1) if part is not None else None,
            )
        )
    every = ceil(len(days) / MOST_DATES)
    # Counted from today, so that the last day has its date.
    dates = [
        Mark(round(bars[place].x + bars[place].width / 2, 1), _shorten(days[place]))
        for place in range(len(days) - 1, -1, -every)
    ]
    return Plot(
        figure.name,
        figure.summary,
        tuple(bars),
        tuple(
            Mark(round(base - height_of(tick), 1), figure.format(tick) if tick else "0")
            for tick in ticks
        ),
        tuple(dates),
        round(base - height_of(figure.limit), 1) if _shows_limit(figure) and figure.limit else None,
        figure.part_name,
        _draw_line(bars) if figure.is_line else "",
    )


def _shorten(day: str) -> str:
    return format_day(day).partition(" ")[2]


def _shows_limit(figure: Figure) -> bool:
    """Return whether the machine's limit is near enough to be in the plot."""
    highest = max((value for value in figure.values if value), default=0)
    return figure.limit is not None and highest >= figure.limit / 4


def _draw_line(bars: list[Bar]) -> str:
    """Return a path through the tops of all bars; it is broken where a value is missing."""
    words = []
    was_drawn = False
    for bar in bars:
        if not bar.is_missing:
            place = f"{bar.x + bar.width / 2:.1f} {bar.y:.1f}"
            # "h2" makes a dot of a value between two missing ones.
            words.append(f"L{place}" if was_drawn else f"M{place}h2")
        was_drawn = not bar.is_missing
    return " ".join(words)


def choose_ticks(figure: Figure) -> list[float]:
    """Return the values on the axis, from nothing to at least the highest value, all round."""
    highest = max((value for value in figure.values if value), default=0.0)
    if _shows_limit(figure) and figure.limit:
        highest = max(highest, figure.limit)
    unit = _choose_unit(highest) if figure.unit == "bytes" else 1.0
    is_whole = figure.unit != "processors"
    step = _round_up(max(highest, unit if is_whole else 0.01) / unit / MOST_TICKS, is_whole)
    count = ceil(round(max(highest / unit, step) / step, 6))
    return [round(number * step * unit, 6) for number in range(count + 1)]


def _choose_unit(size_bytes: float) -> float:
    powers = (power for power in (40, 30, 20, 10) if size_bytes >= 2 << power)
    return float(1 << next(powers, 10))


def _round_up(value: float, is_whole: bool) -> float:
    """Return the next of 1, 2, 5, 10, 20 …; whole numbers of people and servers have no halves."""
    if is_whole and value <= 1:
        return 1.0
    power = 10.0 ** floor(log10(value))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= value - 1e-9)


def render_page(report: Report) -> str:
    """Return the page as HTML; all names in it are escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tljh.commands", "."),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    days = [day.day for day in report.days]
    # Of a young history, the days before it would be empty rows.
    first_day = get_local_day(report.since)
    figures = [] if report.is_empty else list_figures(report)
    values: dict[str, Any] = {
        "hub": report.hub,
        "coverage": describe_coverage(report),
        "made": format_date(report.until),
        "plots": [draw(figure, days) for figure in figures],
        "gaps": list_gaps(report),
        "day_headings": [figure.name for figure in figures],
        "day_rows": [
            (
                format_day(day),
                [
                    "-" if figure.values[place] is None else figure.format(_at(figure, place))
                    for figure in figures
                ],
            )
            for place, day in reversed(list(enumerate(days)))
            if day >= first_day
        ],
        "user_headings": USER_HEADINGS,
        "user_rows": list_users(report.users),
        "removed_users": report.removed_users,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "right": WIDTH - RIGHT,
        "top": TOP,
        "base": HEIGHT - BOTTOM,
    }
    return environment.get_template("report.html.j2").render(values)


def _at(figure: Figure, place: int) -> float:
    return figure.values[place] or 0.0
