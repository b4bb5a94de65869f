"""New limits for running servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.progress import SilentProgress
from tljh.host.accounts import mark_of
from tljh.host.fake import FakeHost
from tljh.host.interface import Result, UserInfo
from tljh.hub.running_limits import RunningLimits, RunningLimitsChange
from tljh.settings.load import load
from tljh.singleuser.limits import MachineSize, limits_in
from tljh.singleuser.running_servers import percent_of, running_servers

SIZE = MachineSize(16 << 30, 4, 32_768)
SHOWN = """\
Slice=jupyter.slice
MemoryCurrent=104857600
CPUWeight=[not set]
CPUQuotaPerSecUSec=1.500000s
IOWeight=[not set]
MemoryLow=0
MemoryMax=2147483648
TasksMax=3072
User=1001
Id=jupyter-alice.service
ActiveState=active

Slice=jupyter.slice
MemoryCurrent=[not set]
CPUWeight=100
CPUQuotaPerSecUSec=infinity
IOWeight=100
MemoryLow=0
MemoryMax=infinity
TasksMax=3072
User=1002
Id=jupyter-bob.service
ActiveState=active

Slice=system.slice
Id=jupyter-thing-of-others.service
ActiveState=active

Slice=jupyter.slice
Id=jupyter-carol.service
ActiveState=failed
"""


def machine() -> FakeHost:
    host = FakeHost(
        answers={"systemctl show": Result(0, SHOWN), "systemctl set-property": Result(0)}
    )
    host.accounts["jupyter-alice"] = UserInfo(
        "jupyter-alice", 1001, 1001, "/home/a", "/bin/bash", mark_of("alice")
    )
    # As TLJH made it, without a mark.
    host.accounts["jupyter-bob"] = UserInfo("jupyter-bob", 1002, 1002, "/home/b", "/bin/bash")
    return host


def limits(text: str) -> RunningLimits:
    return RunningLimits(
        limits_in(load(text.encode()), SIZE), "http://127.0.0.1/hub/api", Path("/token")
    )


def changes(text: str) -> dict[str, dict[str, str]]:
    planned = limits(text).planned(machine(), frozenset())
    if planned is None:
        return {}
    change, _ = planned
    assert isinstance(change, RunningLimitsChange)
    return {unit: dict(properties) for unit, properties in change.changes.items()}


def test_only_running_servers_of_the_slice_are_changed():
    servers = running_servers(machine())
    assert [server.unit for server in servers] == ["jupyter-alice.service", "jupyter-bob.service"]
    assert [server.account for server in servers] == ["jupyter-alice", "jupyter-bob"]


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


@pytest.mark.parametrize(
    ("span", "percent"),
    [
        ("infinity", ""),
        ("500ms", "50%"),
        ("1.500000s", "150%"),
        ("1min 4s", "6400%"),
        ("10ms", "1%"),
    ],
)
def test_a_quota_is_shown_as_a_span_and_taken_as_a_percentage(span, percent):
    assert percent_of(span) == percent
