"""The servers that run, as systemd knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.host.systemctl_output import parse_units
from tljh.singleuser.limit_properties import SHOWN_NAMES, properties_in_effect

_DESCRIPTION = ("Id", "ActiveState", "Slice", "User", "MemoryCurrent")


@dataclass(frozen=True)
class RunningServer:
    """A user's running server, with its limits as `ServerLimits.as_properties` has them."""

    unit: str
    account: str
    in_use_bytes: int
    properties: Mapping[str, str]


def running_servers(host: HostReader) -> list[RunningServer]:
    """Return the servers in our slice that are active, with their limits and memory in use."""
    names = ",".join((*_DESCRIPTION, *SHOWN_NAMES))
    output = host.query(["systemctl", "show", "-p", names, "jupyter-*.service"]).out
    return [
        _running_server(host, unit)
        for unit in parse_units(output)
        if unit.get("Slice") == SLICE and unit.get("ActiveState") == "active"
    ]


def _running_server(host: HostReader, unit: Mapping[str, str]) -> RunningServer:
    account = unit.get("User", "")
    if account.isdigit():
        user = next((user for user in host.all_users() if user.uid == int(account)), None)
        account = user.name if user else account
    in_use = unit.get("MemoryCurrent", "")
    return RunningServer(
        unit["Id"],
        account,
        int(in_use) if in_use.isdigit() else 0,
        properties_in_effect(unit),
    )
