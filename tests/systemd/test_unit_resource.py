"""What a plan does to units that are not wanted any more."""

from __future__ import annotations

import pytest

from tljh.host.fake import FakeHost
from tljh.host.interface import UnitInfo
from tljh.systemd.unit_resource import TriggerUnit, UnitChange


@pytest.mark.parametrize(
    ("enabled", "active", "verbs"),
    [
        ("enabled", "active", ("stop", "disable")),
        ("enabled", "inactive", ("disable",)),
        ("static", "active", ("stop",)),
        ("static", "inactive", None),
        ("", "inactive", None),
    ],
)
def test_only_what_starts_at_boot_is_disabled(enabled, active, verbs):
    host = FakeHost()
    host.unit_states["x.timer"] = UnitInfo("x.timer", "loaded", active, "", enabled)
    planned = TriggerUnit("x.timer", is_wanted=False).planned(host, set())
    if verbs is None:
        assert planned is None
    else:
        assert planned is not None
        assert planned[0] == UnitChange("x.timer", verbs)
