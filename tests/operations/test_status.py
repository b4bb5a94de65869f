"""Waiting for the status of a machine in memory."""

from __future__ import annotations

import pytest

from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.fake import FakeHost
from tljh.host.interface import UnitInfo
from tljh.operations import status
from tljh.operations.status import count_servers, wait_for_status


def test_only_active_units_of_users_are_counted_as_servers() -> None:
    host = FakeHost()
    for name, active in (
        ("jupyter-ann.service", "active"),
        ("jupyter-bob.service", "failed"),
        ("jupyterhub.service", "active"),
    ):
        host.unit_states[name] = UnitInfo(name, active=active)
    assert count_servers(host) == 1


@pytest.mark.parametrize("broken_for_s", [3, 100])
def test_it_is_waited_until_nothing_is_broken_or_the_time_is_over(
    broken_for_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = FakeHost()

    def severity(_: object) -> Severity:
        return Severity.BROKEN if host.monotonic_s() < broken_for_s else Severity.DEGRADED

    monkeypatch.setattr(status, "find_worst", severity)
    result = wait_for_status(host, Paths(), timeout_s=10)
    assert result.severity is (Severity.DEGRADED if broken_for_s < 10 else Severity.BROKEN)
    assert host.monotonic_s() == pytest.approx(min(broken_for_s, 10), abs=1)
