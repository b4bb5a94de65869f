"""Each file in bad-configurations has one mistake and says in comments what will be said of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.configurations import real_catalogue
from tljh.settings.load import check

FILES = sorted(Path(__file__).with_name("bad-configurations").glob("*.yaml"))
_EXPECTED = re.compile(rb"^# line (\d+), column (\d+):\n#   ([^\n]+)\n")


def expected(data: bytes) -> list[tuple[int, int, str]]:
    reported = []
    while match := _EXPECTED.match(data):
        line, column, what = match.groups()
        reported.append((int(line), int(column), what.decode()))
        data = data[match.end() :]
    return reported


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_mistake_is_reported_where_it_stands_and_nothing_else_is(file: Path) -> None:
    data = file.read_bytes()
    findings = check(data, path=str(file), catalogue=real_catalogue())
    reported = [
        (finding.where.line, finding.where.column, finding.what)
        for finding in findings
        if finding.where is not None
    ]
    assert reported == expected(data)
    assert len(reported) == len(findings)
    assert reported, "a mistake that nothing is said of"


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_message_is_one_sentence_in_lower_case_and_has_a_fix(file: Path) -> None:
    syntax_without_a_fix = ("nested", "a name must be", "<<", "not YAML")
    for finding in check(file.read_bytes(), catalogue=real_catalogue()):
        assert "\n" not in finding.what
        assert not finding.what.endswith(".") or "'" in finding.what
        has_fix = finding.fix is not None or finding.why is not None
        assert (
            has_fix
            or any(word in finding.what for word in syntax_without_a_fix)
            or ("must hold traits" in finding.what)
        ), finding.what


def test_there_are_at_least_300_of_them() -> None:
    assert len(FILES) >= 300
