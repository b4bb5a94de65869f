"""The checklist says what was measured, and what an admin did without."""

from __future__ import annotations

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.operations.checklist import DECLARATIONS, _examine
from tljh.operations.checklist_item import Declaration, Measured, Subject
from tljh.settings.root import Config


@pytest.fixture
def subject(monkeypatch) -> Subject:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    host = machine()
    install(host)
    return Subject(host, PATHS, Config())


def measured(is_done: bool | None) -> Declaration:
    return Declaration("x", "an item", "it matters", lambda _: Measured(is_done, "seen", "do it"))


def test_an_item_is_done_missing_or_unknown(subject):
    states = {each: _examine(measured(each), subject, {}).state for each in (True, False, None)}
    assert states == {True: "done", False: "missing", None: "unknown"}
    assert _examine(measured(False), subject, {}).fix == "do it"


def test_what_an_admin_does_without_is_shown_with_the_reason(subject):
    item = _examine(measured(False), subject, {"x": "the provider has one"})
    assert item.state == "waived"
    assert "the provider has one" in item.seen
    assert _examine(measured(True), subject, {"x": "why"}).state == "done"


def test_a_measurement_that_fails_stops_no_other(subject):
    def fail(_: Subject) -> Measured:
        raise OSError("disk is gone")

    item = _examine(Declaration("x", "an item", "", fail), subject, {})
    assert (item.state, item.seen) == ("unknown", "could not be measured: disk is gone")


def test_each_item_has_a_reason_and_its_own_name(subject):
    names = [item.name for item in DECLARATIONS]
    assert len(set(names)) == len(names)
    for declaration in DECLARATIONS:
        assert declaration.why.endswith(".")
        item = _examine(declaration, subject, {})
        assert item.seen
        assert item.fix or item.state != "missing", item
