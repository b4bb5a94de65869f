"""The servers that run, as systemd knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tljh.base.well_known import SLICE
from tljh.host.interface import HostReader
from tljh.host.systemctl_output import parse_units
from tljh.singleuser.limit_properties import SHOWN_NAMES, read_properties

_DESCRIPTION = ("Id", "ActiveState", "Slice", "User", "MemoryCurrent", "Transient")

# Where servers run that The Littlest JupyterHub started, until they end.
LITTLEST_SLICE = "system.slice"


@dataclass(frozen=True)
class RunningServer:
    """A user's running server, with its limits as `ServerLimits.as_properties` has them."""

    unit: str
    account: str
    in_use_bytes: int
    properties: Mapping[str, str]


def find_running_servers(host: HostReader) -> list[RunningServer]:
    """Return the users' servers that are active, with their limits and memory in use.

    They are in our slice, or still where The Littlest JupyterHub started them.
    """
    names = ",".join((*_DESCRIPTION, *SHOWN_NAMES))
    output = host.query(["systemctl", "show", "-p", names, "jupyter-*.service"]).out
    return [
        _read_running_server(host, unit)
        for unit in parse_units(output)
        if unit.get("ActiveState") == "active" and _is_of_user(unit)
    ]


def _is_of_user(unit: Mapping[str, str]) -> bool:
    is_littlest = unit.get("Slice") == LITTLEST_SLICE and unit.get("Transient") == "yes"
    return unit.get("Slice") == SLICE or is_littlest


def _read_running_server(host: HostReader, unit: Mapping[str, str]) -> RunningServer:
    account = unit.get("User", "")
    if account.isdigit():
        user = next((user for user in host.all_users() if user.uid == int(account)), None)
        account = user.name if user else account
    in_use = unit.get("MemoryCurrent", "")
    return RunningServer(
        unit["Id"],
        account,
        int(in_use) if in_use.isdigit() else 0,
        read_properties(unit),
    )
