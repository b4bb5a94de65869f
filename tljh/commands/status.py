"""`tljh status` and `tljh doctor`: is the hub well, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.findings import Severity
from tljh.base.paths import paths_from_environment
from tljh.base.progress import counted
from tljh.commands.parameters import Option
from tljh.host.interface import HostReader
from tljh.host.real import RealHost
from tljh.operations.checks import Reported, run_checks, subject_of, worst

WAIT_TIMEOUT_S = 600.0


POLL_S = 1.0


@dataclass(frozen=True)
class Status:
    """What the checks found; the exit code is 0 fine, 1 broken, 2 degraded."""

    severity: Severity
    reported: tuple[Reported, ...]
    servers: int

    @property
    def exit_code(self) -> int:
        return int(self.severity)

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.severity.name.lower(),
            "servers": self.servers,
            "findings": [
                {
                    "check": item.check,
                    "severity": item.severity.label,
                    **item.finding.as_json(),
                }
                for item in self.reported
            ],
        }

    def as_text(self) -> str:
        lines = [f"status: {self.severity.name.lower()}, {counted(self.servers, 'server')} running"]
        for item in self.reported:
            lines.append(item.finding.as_text(item.severity.label))
        return "\n".join(lines)


def look(*, quick_only: bool, host: HostReader | None = None) -> Status:
    host = host or RealHost()
    subject = subject_of(host, paths_from_environment())
    reported = run_checks(subject, quick_only=quick_only)
    return Status(worst(reported), tuple(reported), count_servers(host))


def count_servers(host: HostReader) -> int:
    """Running units of users' servers: those in their slice."""
    return sum(unit.is_active for unit in host.units("jupyter-*.service"))


def status(
    *,
    wait: Annotated[bool, Option("--wait", "Wait until nothing is broken.")] = False,
    timeout_s: Annotated[float, Option("--timeout", "Seconds to wait at most.")] = WAIT_TIMEOUT_S,
) -> Status:
    """Tell whether the hub is well; the exit code is 0 fine, 1 broken, 2 degraded."""
    host = RealHost()
    end_s = host.monotonic_s() + timeout_s
    while True:
        found = look(quick_only=True, host=host)
        if not wait or found.severity is not Severity.BROKEN or host.monotonic_s() > end_s:
            return found
        host.pause(POLL_S)


def doctor() -> Status:
    """Like status, with the checks that take longer."""
    return look(quick_only=False)
