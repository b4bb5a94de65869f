"""Texts of progress reports."""

from __future__ import annotations

from tljh.base.progress import format_count


def test_one_thing_is_named_in_the_singular():
    assert [format_count(n, "change") for n in (0, 1, 2)] == ["0 changes", "1 change", "2 changes"]
