"""Each event is reported once when it begins and once when it ends, whatever happens meanwhile."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tljh.alerts.events import MOST_WAITING, AlertState, Event, advance, record_delivery
from tljh.alerts.state_file import read_alert_state, write_alert_state
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost

DISK = Event("disk", "the disk of / is 93 % full")
HUB = Event("hub", "jupyterhub.service is failed")


def phases(state: AlertState, channel: str = "mail") -> list[str]:
    return [f"{each.event.name} {each.phase}" for each in state.waiting[channel]]


def test_an_event_is_reported_once_and_its_end_once():
    state = advance(AlertState(), [DISK], ["mail"], "1")
    assert phases(state) == ["disk begins"]
    state = record_delivery(state, "mail", None)
    fuller = replace(DISK, what="the disk of / is 99 % full")
    state = advance(state, [fuller, HUB], ["mail"], "2")
    assert phases(state) == ["hub begins"]
    assert state.open["disk"].event == fuller and state.open["disk"].since == "1"
    state = advance(record_delivery(state, "mail", None), [HUB], ["mail"], "3")
    assert phases(state) == ["disk ends"]
    state = advance(record_delivery(state, "mail", None), [HUB], ["mail"], "4")
    assert phases(state) == []


def test_what_a_channel_does_not_take_waits_for_it_alone():
    state = advance(AlertState(), [DISK], ["mail", "webhook-1"], "1")
    state = record_delivery(state, "mail", "no answer")
    state = record_delivery(state, "webhook-1", None)
    state = advance(state, [], ["mail", "webhook-1"], "2")
    assert phases(state) == ["disk begins", "disk ends"]
    assert phases(state, "webhook-1") == ["disk ends"]
    assert state.problems == {"mail": "no answer"}
    assert record_delivery(state, "mail", None).problems == {}


def test_a_channel_that_is_away_for_long_or_gone_fills_nothing():
    state = AlertState()
    for number in range(2 * MOST_WAITING):
        state = advance(state, [DISK] if number % 2 else [], ["mail"], str(number))
        state = record_delivery(state, "mail", "no answer")
    assert len(state.waiting["mail"]) == MOST_WAITING
    assert advance(state, [], [], "x").waiting == {} == advance(state, [], [], "x").problems


@pytest.fixture
def paths() -> Paths:
    return Paths(Path("/opt/tljh"))


def make_host(kind: type[FakeHost] = FakeHost) -> FakeHost:
    host = kind()
    for path in ("/run", "/opt", "/opt/tljh", "/opt/tljh/state"):
        host.mkdir(Path(path), mode=0o755)
    return host


def test_the_state_is_read_as_it_was_written(paths):
    host = make_host()
    state = advance(AlertState(address="192.0.2.7"), [DISK], ["mail"], "2026-01-01T00:00:00+00:00")
    state = record_delivery(state, "mail", "no answer")
    write_alert_state(host, paths, state)
    assert read_alert_state(host, paths) == state
    assert host.info(paths.alert_state).mode == 0o600


def test_a_full_disk_repeats_no_alert(paths):
    class FullDisk(FakeHost):
        def write(self, path: Path, data: bytes, **access: object) -> None:
            if path.is_relative_to(paths.prefix):
                raise OSError(28, "No space left on device")
            super().write(path, data, **access)

    host = make_host(FullDisk)
    state = advance(AlertState(), [DISK], ["mail"], "1")
    write_alert_state(host, paths, state)
    assert read_alert_state(host, paths) == state


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"{}", json.dumps({"open": [1]}).encode()])
def test_a_damaged_file_counts_as_missing(text, paths):
    host = make_host()
    host.write(paths.alert_state, text, mode=0o600)
    assert read_alert_state(host, paths) == AlertState()
