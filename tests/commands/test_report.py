"""The report as text and as a page."""

from __future__ import annotations

import re
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.errors import TljhError
from tljh.commands.report import PLAIN_BARS, ReportText, draw_line, write_page
from tljh.commands.report_page import choose_ticks, render_page
from tljh.commands.report_words import Figure, format_span
from tljh.host.fake import FakeHost
from tljh.host.usage_history import DiskUse, HomeSize, UsageRecord, UsageSample, UserDay
from tljh.operations.usage_events import get_local_day
from tljh.operations.usage_report import Report, build_report

GIB = 1 << 30
NOW = int(datetime(2026, 11, 28, 15, 0).timestamp())
DAY = get_local_day(NOW)


def make_report(hours: int = 72, users: tuple[str, ...] = ("ann", "bob")) -> Report:
    samples = [
        UsageSample(time_s, 180, time_s % 7200 > 180, 3, GIB, 3 * GIB, 8 * GIB, 1.5, 4)
        for time_s in range(NOW - hours * 3600 + 180, NOW + 1, 180)
    ]
    rows = [UserDay(DAY, name, 7200, GIB, 360.0, 2, 1, 1) for name in users]
    homes = [HomeSize("2026-11-27", "ann", GIB), HomeSize(DAY, "ann", 2 * GIB)]
    disks = [DiskUse(DAY, "/", 40 * GIB, 80 * GIB)]
    history = UsageRecord(tuple(samples), tuple(rows), tuple(homes), tuple(disks))
    return build_report(history, NOW, 31, hub="hub.example.org")


def test_the_text_says_what_happened():
    text = ReportText(make_report(), False).as_text()
    for words in (
        "use of hub.example.org: the last 31 days, of which the history has 3 days",
        "2 in all, at most 2 on Sat 28 Nov",
        "at most 1G on Sat 28 Nov, the machine 3G of 8G",
        "at most 1.5 of 4 on",
        "4 servers started",
        "2 starts failed",
        "40G of 80G used",
        "The hub did not answer for",
        "+1G",
    ):
        assert words in text, text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_a_young_history_says_so_and_an_empty_one_has_no_plots():
    assert "look again after a day" in ReportText(make_report(2), False).as_text()
    empty = build_report(UsageRecord(), NOW, 31)
    assert "nothing is measured yet" in ReportText(empty, False).as_text()
    assert "nothing is measured yet" in render_page(empty).lower()
    assert "<svg" not in render_page(empty)


def test_a_timer_that_does_not_run_is_reported():
    samples = [UsageSample(NOW - 7200, 180, True, 1, GIB, GIB, GIB, 0.1, 1)]
    stale = build_report(UsageRecord(tuple(samples)), NOW, 31)
    assert "sudo systemctl status tljh-history.timer" in ReportText(stale, False).as_text()
    assert "Nothing is measured since" in render_page(stale)
    assert "Nothing is measured since" not in ReportText(make_report(), False).as_text()


def test_twenty_users_are_shown_and_the_others_are_counted():
    report = make_report(users=tuple(f"user{n:02}" for n in range(25)))
    assert "and 6 more: sudo tljh report --all" in ReportText(report, False).as_text()
    assert "user24" in ReportText(report, True).as_text()


def test_a_user_without_an_account_is_a_number():
    text = ReportText(make_report(users=("ann", "#7")), False).as_text()
    assert "#7" in text
    assert "1 user with a number for a name" in text


def test_a_plot_of_letters_has_one_for_each_day():
    assert draw_line([None, 0, 1, 4, 8]) == " ▁▂▅█"
    assert draw_line([0, 0]) == "▁▁"
    assert draw_line([4], limit=8) == "▅"
    assert draw_line([None, 8], PLAIN_BARS) == " @"


class Elements(HTMLParser):
    """Collects elements, and what they would load."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += attrs


def test_the_page_has_a_plot_of_each_figure_and_loads_nothing():
    page = render_page(make_report(users=("ann", "<script>alert(1)</script>", "Grüße & Co")))
    elements = Elements()
    elements.feed(page)
    assert elements.names.count("svg") == 9
    assert "script" not in elements.names and "link" not in elements.names
    assert not {"src", "href", "srcset"} & {name for name, _ in elements.attributes}
    assert not any(name.startswith("on") for name, _ in elements.attributes)
    assert "url(" not in page and "@import" not in page
    assert "&lt;script&gt;" in page
    assert "Sat 28 Nov: 3" in page


@given(
    st.lists(st.none() | st.floats(0, 1e15, allow_subnormal=False), min_size=1, max_size=31),
    st.sampled_from(["", "bytes", "minutes", "processors"]),
    st.none() | st.floats(1, 1e15),
)
def test_an_axis_reaches_over_the_highest_value_with_few_marks(values, unit, limit):
    figure = Figure("any", unit, tuple(values), "", limit)
    ticks = choose_ticks(figure)
    highest = max((value for value in values if value), default=0)
    assert ticks[0] == 0 and ticks[-1] >= min(highest, highest * 0.999999)
    assert 2 <= len(ticks) <= 6
    assert len({figure.format(tick) for tick in ticks}) == len(ticks) or highest < 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 min"), (720, "12 min"), (3600, "1 h"), (11_100, "3 h 5 min"), (180_000, "2 days 2 h")],
)
def test_spans(seconds, text):
    assert format_span(seconds) == text


def test_the_page_is_for_root_only_and_replaces_nothing_but_a_file():
    host = FakeHost()
    host.mkdir(Path("/root"), mode=0o700)
    host.mkdir(Path("/root/pages"), mode=0o700)
    summary = write_page(host, make_report(), Path("/root/use.html"))
    info = host.info(Path("/root/use.html"))
    assert info is not None and info.mode == 0o600
    assert "/root/use.html" in summary.as_text()
    with pytest.raises(TljhError, match="this is none"):
        write_page(host, make_report(), Path("/root/pages"))
    with pytest.raises(TljhError, match="no directory"):
        write_page(host, make_report(), Path("/nowhere/use.html"))


def test_the_colours_of_the_page_are_readable():
    """Compare text and marks with their background by the formula of WCAG 2, in both schemes."""
    page = render_page(make_report())
    schemes = re.findall(r":root \{([^}]*)\}", page)
    assert len(schemes) == 2
    for scheme in schemes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", scheme))
        for name, least in (("ink", 7), ("soft", 4.5), ("bar", 3), ("limit", 3)):
            assert contrast(colours[name], colours["paper"]) >= least, name


def contrast(text: str, background: str) -> float:
    lighter, darker = sorted((luminance(text), luminance(background)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
