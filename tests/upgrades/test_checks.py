"""What `tljh status` says of newer releases, and the timer that looks for them."""

from __future__ import annotations

from typing import Any

import pytest

from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.plugins.checks import CheckedMachine
from tljh.settings.root import Config
from tljh.systemd.unit_resource import TriggerUnit
from tljh.upgrades.checks import CHECKS
from tljh.upgrades.known_releases import KnownReleases, write_known_releases
from tljh.upgrades.release_index import ListedRelease
from tljh.upgrades.resources import TIMER, resources

PATHS = Paths()
URL = "https://releases.example.org/tljh"
NEWER = ListedRelease("99.0", "bootstrap-99.0.py", "0" * 64, "0.1.0", True, "closes a hole")


def find(last_look: KnownReleases | None, **settings: Any) -> list[str]:
    host = FakeHost()
    for directory in (PATHS.prefix, PATHS.state_dir):
        host.mkdir(directory, mode=0o700)
    if last_look is not None:
        write_known_releases(host, PATHS, last_look)
    config = Config.model_validate({"upgrade": {"url": URL, **settings}})
    subject = CheckedMachine(host, PATHS, config, None)
    return [finding.what for check in CHECKS for _, finding in check.look(subject)]


def test_a_newer_release_is_named():
    (what,) = find(KnownReleases((NEWER,)))
    assert what.startswith("tljh 99.0 is available, with a security fix")


@pytest.mark.parametrize(
    ("last_look", "settings"),
    [
        (None, {}),
        (KnownReleases(), {}),
        (KnownReleases(problem="no answer"), {}),
        (KnownReleases((NEWER,)), {"automatic": "never"}),
        (KnownReleases((NEWER,)), {"url": None}),
    ],
)
def test_nothing_is_said_without_a_newer_release_and_where_it_is_not_wanted(last_look, settings):
    assert find(last_look, **settings) == []


def build(**settings: Any) -> dict[str, Any]:
    config = Config.model_validate({"upgrade": settings})
    declared = resources(config, None, PATHS, None)  # type: ignore[arg-type]
    return {each.name: each for each in declared}


@pytest.mark.parametrize("settings", [{}, {"url": URL, "automatic": "never"}])
def test_no_timer_runs_without_an_address_or_with_never(settings):
    timer = build(**settings)[TIMER]
    assert isinstance(timer, TriggerUnit)
    assert not timer.is_wanted


@pytest.mark.parametrize(
    ("automatic", "calendar"),
    [("notify", "daily"), ("security", "Mon 02:00"), ("all", "Mon 02:00")],
)
def test_the_timer_looks_daily_or_upgrades_in_the_window(automatic, calendar):
    built = build(url=URL, automatic=automatic, window="Mon 02:00")
    assert built[TIMER].is_wanted
    text = built[str(PATHS.units_dir / TIMER)].data.decode()
    assert f"OnCalendar={calendar}\n" in text
