"""Running servers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.host.systemctl_output import properties_shown

_SHOWN = "Id,ActiveState,Slice,User,MemoryCurrent,CPUQuotaPerSecUSec"


_LIVE = ("MemoryMax", "MemoryLow", "CPUQuota", "CPUWeight", "TasksMax", "IOWeight")


# What a unit has that was never given one of these.
_UNSET = {"CPUWeight": "100", "IOWeight": "100"}


_SPANS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


_SPAN = re.compile(r"([0-9.]+)(us|ms|s|min|h)")


NONE_IN_USE = 0


@dataclass(frozen=True)
class RunningServer:
    """A unit of somebody's server with its limits in the words of `ServerLimits.as_properties`."""

    unit: str
    account: str
    in_use_bytes: int
    properties: Mapping[str, str]


def running_servers(host: HostReader) -> list[RunningServer]:
    """The servers that run, with what they may take and what they have in use."""
    wanted = ",".join((_SHOWN, *(name for name in _LIVE if name != "CPUQuota")))
    shown = host.query(["systemctl", "show", "-p", wanted, "jupyter-*.service"]).out
    found = []
    for unit in properties_shown(shown):
        if unit.get("Slice") == SLICE and unit.get("ActiveState") == "active":
            found.append(_running_server(host, unit))
    return found


def _running_server(host: HostReader, shown: Mapping[str, str]) -> RunningServer:
    properties = {
        name: _UNSET.get(name, "") if shown.get(name) == "[not set]" else shown.get(name, "")
        for name in _LIVE
    }
    properties["CPUQuota"] = percent_of(shown.get("CPUQuotaPerSecUSec", "infinity"))
    in_use = shown.get("MemoryCurrent", "")
    account = shown.get("User", "")
    if account.isdigit():
        entry = next((user for user in host.all_users() if user.uid == int(account)), None)
        account = entry.name if entry else account
    return RunningServer(
        shown["Id"], account, int(in_use) if in_use.isdigit() else NONE_IN_USE, properties
    )


def percent_of(span: str) -> str:
    """A quota as systemd shows it (1.5s of each second) as it takes it (150%)."""
    if span in ("infinity", ""):
        return ""
    seconds = sum(float(number) * _SPANS[unit] for number, unit in _SPAN.findall(span))
    return f"{round(seconds * 100)}%"
