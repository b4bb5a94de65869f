"""Events as they are seen on a machine in memory, and a run of the timer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, install, machine
from tljh.alerts.events import AlertState, Event, OpenEvent
from tljh.alerts.state_file import read_alert_state
from tljh.base.errors import TljhError
from tljh.host.fake import FakeHost
from tljh.host.interface import Response, Result
from tljh.operations import alert_events, alerts
from tljh.operations.checks import examine_machine
from tljh.operations.failed_starts import FAILED_START
from tljh.settings.root import Config

HOOK = "https://chat.example.org/hook"
ROUTE = "192.0.2.1 via 10.0.0.1 dev eth0 src {} uid 0"
DF = "Mounted on Use% IUse% Avail\n/ {}% {}% 123456789\n"


def address(text: str) -> Callable[[Sequence[str]], Result]:
    interfaces = [{"ifname": "eth0", "addr_info": [{"local": text}]}]

    def answer(argv: Sequence[str]) -> Result:
        return Result(0, json.dumps(interfaces) if "-json" in argv else ROUTE.format(text))

    return answer


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    monkeypatch.setattr("tljh.conda.resources.resources", lambda *_: [])
    monkeypatch.setattr(alert_events, "run_checks", lambda *_, **__: [])
    host = machine()
    install(host)
    for directory in ("/run", "/proc"):
        host.mkdir(Path(directory), mode=0o755)
    host.answers["df"] = Result(0, DF.format(40, 2))
    host.answers["ip"] = address("10.0.0.5")
    return host


def find(host: FakeHost, settings: dict | None = None, state: AlertState | None = None) -> list:
    config = Config.model_validate({"alerts": settings or {}})
    events = alert_events.find_events(examine_machine(host, PATHS), config, state or AlertState())
    return [event.name for event in events]


def test_a_machine_that_is_well_has_no_event(host):
    assert find(host) == []


def test_a_disk_is_an_event_by_space_or_inodes_until_it_is_clearly_lower(host):
    is_open = AlertState(open={"disk": OpenEvent(Event("disk", "full"), "1")})
    for space, inodes, state, expected in (
        (90, 2, None, ["disk"]),
        (20, 95, None, ["disk"]),
        (89, 2, None, []),
        (89, 2, is_open, ["disk"]),
        (86, 2, is_open, []),
    ):
        host.answers["df"] = Result(0, DF.format(space, inodes))
        assert find(host, state=state) == expected, (space, inodes)
    assert find(host, {"disk_percent": 50}) == ["disk"]


def test_memory_is_an_event_only_if_it_stays_in_use(host):
    text = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {} kB\n"
    host.write(Path("/proc/meminfo"), text.format(10).encode(), mode=0o444)
    assert find(host) == ["memory"]
    pause = host.pause

    def free(seconds: float) -> None:
        host.write(Path("/proc/meminfo"), text.format(800).encode(), mode=0o444)
        pause(seconds)

    host.pause = free
    assert find(host) == []


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("[E] Error starting ann's server: HTTP 500: …", "failed-starts"),
        ("[E] Unhandled error starting ann's server: x", "failed-starts"),
        ("[W] ann's server failed to start in 60 seconds, giving up.", "failed-starts"),
        ("[W] Login of 'ann' from 203.0.113.5 has to wait 590 s", "guessing"),
    ],
)
def test_lines_of_the_hubs_log_are_events_from_a_number_on(host, line, event):
    settings = {"failed_starts": 3, "refused_logins": 3}
    for count, expected in ((2, []), (3, [event])):
        host.answers["journalctl"] = Result(0, f"{line}\n" * count)
        assert find(host, settings) == expected
    assert find(host, {**settings, "ignore": [event]}) == []


def test_another_address_is_an_event_until_names_lead_to_it(host):
    state = AlertState(address="10.0.0.4")
    assert find(host, state=state) == ["address"]
    assert find(host, state=AlertState(address="10.0.0.5")) == []
    config = Config.model_validate(
        {"https": {"enabled": True, "letsencrypt": {"email": "a@b.cd", "domains": ["hub.test"]}}}
    )
    watched = alert_events.Watched(examine_machine(host, PATHS), config, state)
    host.resolved["hub.test"] = ["10.0.0.4"]
    assert [each.name for each in alert_events._find_address(watched)] == ["address"]
    host.resolved["hub.test"] = ["10.0.0.5"]
    assert list(alert_events._find_address(watched)) == []


def test_a_look_that_fails_is_an_event_and_stops_no_other(host, monkeypatch):
    host.answers["df"] = Result(0, "unexpected\nwords only\n")
    host.answers["journalctl"] = Result(0, "Login of 'a' from b has to wait 1 s\n" * 50)
    assert find(host) == ["look-disks", "guessing"]


@pytest.fixture
def configured(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
    config = Config.model_validate({"alerts": {"webhooks": [HOOK]}})
    monkeypatch.setattr(
        alerts, "examine_machine", lambda *_: replace(examine_machine(host, PATHS), config=config)
    )
    host.responses[HOOK] = Response(200)
    return host


def test_a_run_sends_what_began_once_and_what_ended(configured):
    host = configured
    assert alerts.run_alerts(host, PATHS).sent == 0
    host.answers["df"] = Result(0, DF.format(95, 2))
    host.responses[HOOK] = Response(503)
    failed = alerts.run_alerts(host, PATHS)
    assert failed.sent == 0
    assert list(failed.problems) == ["webhook at chat.example.org"]
    host.responses[HOOK] = Response(200)
    assert alerts.run_alerts(host, PATHS).sent == 1
    assert alerts.run_alerts(host, PATHS).sent == 0
    host.answers["df"] = Result(0, DF.format(40, 2))
    ended = alerts.run_alerts(host, PATHS)
    assert (ended.sent, list(ended.open)) == (1, [])


def test_the_present_address_can_be_accepted(configured):
    host = configured
    alerts.run_alerts(host, PATHS)
    host.answers["ip"] = address("10.0.0.9")
    assert [each.event.name for each in alerts.run_alerts(host, PATHS).open] == ["address"]
    alerts.accept_event(host, PATHS, "address")
    assert list(alerts.run_alerts(host, PATHS).open) == []
    assert read_alert_state(host, PATHS).address == "10.0.0.9"
    with pytest.raises(TljhError, match="when its cause does"):
        alerts.accept_event(host, PATHS, "disk")


def test_the_lines_are_those_that_the_hub_writes():
    import jupyterhub.user

    import tljh.hub.process.login_guard

    guard = Path(tljh.hub.process.login_guard.__file__).read_text()
    [line] = re.findall(r'"(Login of [^"]*has to wait[^"]*)"', guard)
    assert alert_events._REFUSED_LOGIN.search(line % ("ann", "203.0.113.5", 590))
    hub = Path(jupyterhub.user.__file__).read_text()
    lines = re.findall(r'f"([^"]*\{self\.name\}\'s server[^"]*)"', hub)
    failures = [each for each in lines if re.search(r"fail|[Nn]ot starting|rror starting", each)]
    matched = [each for each in failures if FAILED_START.search(each)]
    assert len(matched) >= 3, failures
