"""The folders of nbgrader's exchange; the integration tests hand assignments out and in."""

from __future__ import annotations

from tljh.engine.file_resources import Directory
from tljh.users.assignment_exchange import build_exchange


def test_without_courses_nothing_is_needed():
    assert build_exchange({}) == []


def test_students_may_read_releases_and_only_add_submissions():
    folders = {item.path.name: item for item in build_exchange({"physics": "teachers"})}
    assert all(isinstance(item, Directory) and item.owner == "root" for item in folders.values())
    assert {name: oct(folders[name].mode) for name in ("outbound", "inbound", "feedback")} == {
        "outbound": "0o2775",
        "inbound": "0o2773",
        "feedback": "0o2771",
    }
    assert {folders[name].group for name in ("outbound", "inbound", "feedback")} == {"teachers"}
    # No user can replace one of these by a link.
    assert {folders[name].mode for name in ("nbgrader", "exchange", "physics")} == {0o755}
    assert {folders[name].group for name in ("nbgrader", "exchange", "physics")} == {"root"}
