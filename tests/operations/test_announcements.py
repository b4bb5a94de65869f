"""The announcement of the pages: times that admins type, and the file."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.operations.announcements import (
    parse_end,
    read_announcement,
    remove_announcement,
    write_announcement,
)

PATHS = Paths()
# A Wednesday.
START = datetime(2030, 1, 2, 12, 0).astimezone()


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("18:00", datetime(2030, 1, 2, 18, 0)),
        ("9:30", datetime(2030, 1, 3, 9, 30)),
        ("90m", datetime(2030, 1, 2, 13, 30)),
        ("2h", datetime(2030, 1, 2, 14, 0)),
        ("friday", datetime(2030, 1, 5)),
        ("Wednesday", datetime(2030, 1, 3)),
        ("2030-01-10", datetime(2030, 1, 11)),
        ("2030-01-10 08:00", datetime(2030, 1, 10, 8, 0)),
        ("2030-01-10T08:00", datetime(2030, 1, 10, 8, 0)),
    ],
)
def test_end_is_read_in_the_time_zone_of_the_machine(text: str, end: datetime) -> None:
    assert parse_end(text, START.astimezone(timezone.utc)) == end.astimezone()


@pytest.mark.parametrize("text", ["", "soon", "25:00", "18:60", "2030-13-01", "fri day", "5"])
def test_end_that_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(TljhError) as failed:
        parse_end(text, START)
    assert "18:00" in (failed.value.findings[0].fix or "")


def test_end_that_is_past_is_refused_with_the_time_of_the_machine() -> None:
    with pytest.raises(TljhError) as failed:
        parse_end("2030-01-02 11:59", START)
    assert "2030-01-02 12:00" in failed.value.findings[0].what


@pytest.fixture
def host() -> FakeHost:
    host = FakeHost()
    for directory in (Path("/opt"), PATHS.prefix, PATHS.state_dir):
        host.mkdir(directory, mode=0o700)
    return host


def test_announcement_is_written_read_and_removed(host: FakeHost) -> None:
    assert read_announcement(host, PATHS) is None
    write_announcement(host, PATHS, " exam \n", None)
    announcement = read_announcement(host, PATHS)
    assert announcement is not None and announcement.text == "exam"
    assert remove_announcement(host, PATHS)
    assert not remove_announcement(host, PATHS)


def test_announcement_that_is_over_is_none(host: FakeHost) -> None:
    write_announcement(host, PATHS, "exam", datetime.now(timezone.utc) - timedelta(seconds=1))
    assert read_announcement(host, PATHS) is None


@pytest.mark.parametrize("text", [" ", "x" * 1001])
def test_text_that_the_pages_cannot_show_is_refused(host: FakeHost, text: str) -> None:
    with pytest.raises(TljhError):
        write_announcement(host, PATHS, text, None)
