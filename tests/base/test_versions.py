"""Which release may replace which."""

from __future__ import annotations

import pytest

from tljh.base.versions import find_replacement_problem, parse_version


def test_versions_sort_by_number_and_a_pre_release_comes_before_its_release():
    texts = ["0.9", "0.10.dev1", "0.10a1", "0.10a2", "0.10rc1", "0.10", "0.10.1", "1.0"]
    assert sorted(["1.0", *texts[:-1]], key=parse_version) == texts
    assert parse_version("0.10") == parse_version("0.10.0")


@pytest.mark.parametrize("text", ["", "new", "1.0-beta", "v1"])
def test_other_texts_are_no_versions(text):
    with pytest.raises(ValueError, match="not a version"):
        parse_version(text)


@pytest.mark.parametrize(
    ("installed", "new", "words"),
    [
        ("0.2.0", "0.1.0", "sudo tljh rollback"),
        ("0.1.0", "0.4.0", "upgrade to 0.3.0 or the newest release that replaces 0.1.0 first"),
        ("0.3.0", "0.4.0", ""),
        ("0.4.0", "0.4.0", ""),
        ("0.4.0rc1", "0.4.0", ""),
        ("a developer's own", "0.4.0", ""),
    ],
)
def test_a_downgrade_and_a_skipped_release_are_refused_with_the_way_to_take(installed, new, words):
    problem = find_replacement_problem(installed, new, "0.3.0")
    assert (problem is not None) == bool(words)
    assert words in str(problem.fix if problem else "")
