"""The servers that run, as systemd knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tljh.base.well_known import SERVER_UNITS, SLICE
from tljh.host.interface import HostReader
from tljh.host.systemctl_output import parse_unit, parse_units
from tljh.singleuser.limit_properties import SHOWN_NAMES, read_properties

_DESCRIPTION = (
    *("Id", "ActiveState", "Slice", "User", "Transient"),
    *("MemoryCurrent", "CPUUsageNSec", "TasksCurrent", "ControlGroup", "InvocationID"),
)
_MEMORY_PEAKS = (
    "/sys/fs/cgroup/{}/memory.peak",
    "/sys/fs/cgroup/memory/{}/memory.max_usage_in_bytes",
)

# Where servers run that The Littlest JupyterHub started, until they end.
LITTLEST_SLICE = "system.slice"


@dataclass(frozen=True)
class RunningServer:
    """A user's running server, with its limits as `ServerLimits.as_properties` has them.

    `cpu_s` is the time of processors that it has used since its start, `invocation` is another one
    after each start.
    """

    unit: str
    account: str
    in_use_bytes: int
    properties: Mapping[str, str]
    cpu_s: float = 0.0
    tasks: int = 0
    control_group: str = ""
    invocation: str = ""


@dataclass(frozen=True)
class SliceUse:
    """Memory of all servers together, and its peak since the slice started, where that is known."""

    in_use_bytes: int
    peak_bytes: int | None


def find_running_servers(host: HostReader) -> list[RunningServer]:
    """Return the users' servers that are active, with their limits and memory in use.

    They are in our slice, or still where The Littlest JupyterHub started them.
    """
    names = ",".join((*_DESCRIPTION, *SHOWN_NAMES))
    output = host.query(["systemctl", "show", "-p", names, SERVER_UNITS]).out
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
    return RunningServer(
        unit["Id"],
        account,
        _read_number(unit, "MemoryCurrent"),
        read_properties(unit),
        _read_number(unit, "CPUUsageNSec") / 1e9,
        _read_number(unit, "TasksCurrent"),
        unit.get("ControlGroup", ""),
        unit.get("InvocationID", ""),
    )


def read_slice_use(host: HostReader) -> SliceUse:
    """Read what the slice of all servers uses."""
    output = host.query(["systemctl", "show", "-p", ",".join(_DESCRIPTION), SLICE]).out
    unit = parse_unit(output)
    return SliceUse(
        _read_number(unit, "MemoryCurrent"),
        read_memory_peak(host, unit.get("ControlGroup", "").strip("/") or SLICE),
    )


def read_memory_peak(host: HostReader, control_group: str) -> int | None:
    """Return the most memory that a control group ever had; None on kernels that do not say."""
    for pattern in _MEMORY_PEAKS:
        data = host.read(Path(pattern.format(control_group.strip("/"))))
        text = (data or b"").decode(errors="replace").strip()
        if text.isdigit():
            return int(text)
    return None


def _read_number(unit: Mapping[str, str], name: str) -> int:
    # systemd shows text where a number is not known.
    value = unit.get(name, "")
    return int(value) if value.isdigit() else 0
