"""`tljh status` and `tljh doctor`: whether the hub works, and how to fix what does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Option
from tljh.host.real import RealHost
from tljh.operations.status import HubStatus, read_status, wait_for_status

WAIT_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class StatusReport:
    """The findings of the checks; the exit code is 0 fine, 1 broken, 2 degraded."""

    status: HubStatus

    @property
    def exit_code(self) -> int:
        return int(self.status.severity)

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.status.severity.name.lower(),
            "servers": self.status.servers,
            "findings": [
                {
                    "check": item.check,
                    "severity": item.severity.label,
                    **item.finding.as_json(),
                }
                for item in self.status.reported
            ],
        }

    def as_text(self) -> str:
        severity = self.status.severity.name.lower()
        lines = [f"status: {severity}, {format_count(self.status.servers, 'server')} running"]
        lines += [item.finding.as_text(item.severity.label) for item in self.status.reported]
        return "\n".join(lines)


def status(
    *,
    wait: Annotated[bool, Option("--wait", "Wait until nothing is broken.")] = False,
    timeout_s: Annotated[float, Option("--timeout", "Seconds to wait at most.")] = WAIT_TIMEOUT_S,
) -> StatusReport:
    """Print whether the hub works; the exit code is 0 fine, 1 broken, 2 degraded."""
    host, paths = RealHost(), get_paths()
    if wait:
        return StatusReport(wait_for_status(host, paths, timeout_s))
    return StatusReport(read_status(host, paths, quick_only=True))


def doctor() -> StatusReport:
    """Run the checks of status, and those that take longer."""
    return StatusReport(read_status(RealHost(), get_paths(), quick_only=False))
