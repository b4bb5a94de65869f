"""The status of the hub: what the checks report, and how many servers run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.base.well_known import SERVER_UNITS
from tljh.host.interface import Host, HostReader
from tljh.operations.checks import ReportedFinding, examine_machine, find_worst, run_checks

POLL_S = 1.0


@dataclass(frozen=True)
class HubStatus:
    """The worst severity, every finding, and the number of running servers."""

    severity: Severity
    reported: Sequence[ReportedFinding]
    servers: int


def read_status(host: HostReader, paths: Paths, *, quick_only: bool) -> HubStatus:
    """Run the checks, or only the quick ones; return their findings and the hub's state."""
    reported = run_checks(examine_machine(host, paths), quick_only=quick_only)
    return HubStatus(find_worst(reported), reported, count_servers(host))


def wait_for_status(host: Host, paths: Paths, timeout_s: float) -> HubStatus:
    """Run the quick checks until nothing is broken, or the time is over; return the last status."""
    end_s = host.monotonic_s() + timeout_s
    while True:
        status = read_status(host, paths, quick_only=True)
        if status.severity is not Severity.BROKEN or host.monotonic_s() > end_s:
            return status
        host.pause(POLL_S)


def count_servers(host: HostReader) -> int:
    """Return the number of active units of users' servers."""
    return sum(unit.is_active for unit in host.units(SERVER_UNITS))
