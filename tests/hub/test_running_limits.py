"""New limits for running servers."""

from __future__ import annotations

import io
from pathlib import Path

from tests.singleuser.machine_with_servers import SHOWN, machine
from tljh.base.errors import TljhError
from tljh.base.progress import LineProgress, SilentProgress
from tljh.host.interface import Result, UnitInfo
from tljh.hub.running_limits import RunningLimits, RunningLimitsChange
from tljh.settings.load import load
from tljh.singleuser.limits import MachineSize, build_limit_policy

SIZE = MachineSize(16 << 30, 4, 32_768)


def limits(text: str) -> RunningLimits:
    return RunningLimits(
        build_limit_policy(load(text.encode()), SIZE), "http://127.0.0.1/hub/api", Path("/token")
    )


def changes(text: str) -> dict[str, dict[str, str]]:
    planned = limits(text).planned(machine(), frozenset())
    if planned is None:
        return {}
    change, _ = planned
    assert isinstance(change, RunningLimitsChange)
    return {unit: dict(properties) for unit, properties in change.changes.items()}


def test_each_server_gets_its_users_limits_and_only_changes_are_listed():
    text = "limits: {memory: 2G, cpu: 1.5, tasks: 3072, users: {bob: {memory: 4G, cpu: 2}}}"
    assert changes(text) == {"jupyter-bob.service": {"MemoryMax": str(4 << 30), "CPUQuota": "200%"}}


def test_a_server_that_uses_more_than_the_new_limit_is_left_alone():
    text = "limits: {memory: 50M, tasks: 99, cpu: 1.5}"
    assert "MemoryMax" not in changes(text)["jupyter-alice.service"]
    planned = limits(text).planned(machine(), frozenset())
    assert planned is not None
    _, difference = planned
    assert any("keeps its memory" in line for line in difference.diff)


def test_equal_limits_are_not_a_change():
    host = machine()
    host.answers["systemctl show"] = Result(0, SHOWN.split("\n\n")[0])
    assert limits("limits: {memory: 2G, cpu: 1.5}").planned(host, frozenset()) is None


def test_a_rollback_sets_the_old_limits_again():
    host = machine()
    planned = limits("limits: {memory: 4G, cpu: 1.5}").planned(host, frozenset())
    assert planned is not None
    change, _ = planned
    record = change.before(host)
    change.apply(host, SilentProgress())
    RunningLimitsChange.revert(host, record)
    commands = [effect for effect in host.effects if "set-property" in effect]
    assert "MemoryMax=4294967296" in commands[0]
    assert "MemoryMax=2147483648" in next(text for text in commands[2:] if "alice" in text)


def test_a_server_whose_limits_cannot_be_changed_stops_no_change_of_others_and_no_rollback():
    def set_property(argv: list[str]) -> Result:
        if "jupyter-alice.service" not in argv:
            return Result(0)
        raise TljhError("systemctl did not finish within 30 s")

    host = machine()
    for unit in ("jupyter-alice.service", "jupyter-bob.service"):
        host.unit_states[unit] = UnitInfo(unit, "loaded", "active")
    host.answers["systemctl set-property"] = set_property
    planned = limits("limits: {memory: 4G, cpu: 1.5}").planned(host, frozenset())
    assert planned is not None
    change, _ = planned
    output = io.StringIO()
    progress = LineProgress(output)
    change.apply(host, progress)
    RunningLimitsChange.revert(host, change.before(host))
    assert output.getvalue().strip() == (
        "jupyter-alice.service keeps its limits for now: systemctl did not finish within 30 s"
    )
    assert any("set-property" in effect and "bob" in effect for effect in host.effects)
