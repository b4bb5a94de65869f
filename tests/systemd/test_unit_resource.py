"""What a plan does to units that are not wanted any more."""

from __future__ import annotations

import pytest

from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.interface import UnitInfo
from tljh.systemd.unit_resource import TriggerUnit, UnitChange

UNITS = Paths.units_dir


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
    host.write(UNITS / "x.timer", b"", mode=0o644)
    host.unit_states["x.timer"] = UnitInfo("x.timer", "loaded", active, "", enabled)
    planned = TriggerUnit("x.timer", is_wanted=False).planned(host, set())
    if verbs is None:
        assert planned is None
    else:
        assert planned is not None
        assert planned[0] == UnitChange("x.timer", verbs)


def test_a_unit_whose_file_is_gone_starts_at_boot_no_more():
    host = FakeHost()
    wants = UNITS / "timers.target.wants"
    host.mkdir(wants, mode=0o755)
    host.symlink(wants / "x.timer", str(UNITS / "x.timer"))
    host.symlink(wants / "other.timer", str(UNITS / "other.timer"))
    host.unit_states["x.timer"] = UnitInfo("x.timer", "loaded", "active", "", "enabled")
    UnitChange("x.timer", ("stop", "disable")).apply(host, SilentProgress())
    assert not host.unit("x.timer").is_active
    assert host.listdir(wants) == ["other.timer"]
    # A run that was killed in between may have left the link.
    change = TriggerUnit("other.timer", is_wanted=False).planned(host, set())
    assert change is not None and change[0] == UnitChange("other.timer", ("disable",))
