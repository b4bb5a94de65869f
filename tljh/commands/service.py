"""`tljh service list`, `logs`, `restart`, `token`: the services of config.yaml."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.base.well_known import get_service_unit
from tljh.commands.logs import LogLines
from tljh.commands.parameters import Argument, Option, Summary
from tljh.host.real import RealHost
from tljh.operations import services
from tljh.operations.services import ServiceState

ServiceArgument = Annotated[str, Argument("NAME", "A name below services in config.yaml.")]


@dataclass(frozen=True)
class ServiceTable:
    """Services, one a line, with the last failure below."""

    services: tuple[ServiceState, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self.services]

    def as_text(self) -> str:
        if not self.services:
            return "there are no services; to add one: docs/guides/services.md"
        rows = [
            (each.name, each.state, each.path or "-", each.url or "-", _format_use(each))
            for each in self.services
        ]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = []
        for service, row in zip(self.services, rows, strict=True):
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
            lines.append("  ".join([*cells, row[4]]).rstrip())
            if service.last_failure:
                lines.append(f"    last failure: {service.last_failure}")
        return "\n".join(lines)


def _format_use(service: ServiceState) -> str:
    if not service.is_managed:
        return "runs elsewhere"
    parts = []
    if service.running_s is not None:
        parts.append(f"up {_format_time(service.running_s)}")
    if service.memory_bytes is not None:
        parts.append(format_size(service.memory_bytes))
    if service.restarts:
        parts.append(f"started again after {format_count(service.restarts, 'failure')}")
    return ", ".join(parts)


def _format_time(seconds: int) -> str:
    for unit, unit_s in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{seconds} s"


def list_services() -> ServiceTable:
    """List the services: state, address, uptime, memory, last failure."""
    return ServiceTable(tuple(services.read_services(RealHost(), get_paths())))


def logs(
    name: ServiceArgument,
    *,
    lines: Annotated[int, Option("--lines", "Number of lines, from the end.")] = 100,
) -> LogLines:
    """Print the last lines that a service logged."""
    text = services.read_log(RealHost(), get_paths(), name, lines)
    return LogLines((get_service_unit(name),), text)


def restart(name: ServiceArgument) -> Summary:
    """Restart a service, and wait until it answers."""
    state = services.restart(RealHost(), get_paths(), name)
    return Summary((f"the service {name} was restarted: it {state.state}",), asdict(state))


def token(name: ServiceArgument) -> Summary:
    """Print the token of a service, for a program that runs elsewhere, and nothing else."""
    value = services.read_service_token(RealHost(), get_paths(), name)
    return Summary((value,), {"service": name, "token": value})
