"""`tljh size`: whether the machine fits its users, and what other numbers of users need."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.commands.parameters import Option
from tljh.host.real import RealHost
from tljh.operations.sizing import MeasuredUse, Sizing, choose_workload, read_sizing
from tljh.settings.sections.limits import Memory
from tljh.singleuser.sizing import HEAVY, LIGHT, NORMAL, Need, Workload, compute_need

VERDICTS = {
    "small": "too small",
    "large": "larger than needed",
    "fits": "large enough",
    "unknown": "not judged",
}


@dataclass(frozen=True)
class SizeAnswer:
    """What a number of users needs."""

    users: int
    workload: Workload
    need: Need

    def as_text(self) -> str:
        return "\n".join([_format_need(self.need), *(f"  {line}" for line in self.need.formula)])

    def as_json(self) -> dict[str, Any]:
        return {"users": self.users, "workload": asdict(self.workload), "need": asdict(self.need)}


@dataclass(frozen=True)
class SizeReport:
    """Whether this machine fits its users."""

    sizing: Sizing

    def as_text(self) -> str:
        sizing = self.sizing
        size, use = sizing.size, sizing.use
        peak = "not known" if use.peak_bytes is None else f"at most {format_size(use.peak_bytes)}"
        lines = [
            f"this machine is {VERDICTS[sizing.verdict]}: {format_size(size.memory_bytes)} of "
            f"memory, {format_count(size.processors, 'processor')}",
            *(f"  because: {reason}" for reason in sizing.reasons),
            f"{format_count(use.users, 'user')}, {use.active_users} active in the last week, "
            f"{format_count(use.running, 'server')} running",
            f"memory of {_name_server(use)} {format_size(use.largest_server_bytes)}, "
            f"of all servers {peak}",
            *_describe_history(use),
            f"for them: {_format_need(sizing.need)}",
            *(f"  {line}" for line in sizing.need.formula),
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return asdict(self.sizing)


def _name_server(use: MeasuredUse) -> str:
    return "the largest server" if use.most_at_once is None else "a server, on nine days of ten,"


def _describe_history(use: MeasuredUse) -> list[str]:
    if use.most_at_once is None:
        return []
    days = format_count(use.measured_days, "day")
    servers = format_count(use.most_at_once, "server")
    return [f"at most {servers} at once in the last {days}: sudo tljh report"]


def _format_need(need: Need) -> str:
    processors = format_count(need.processors, "processor")
    disk = format_size(need.disk_bytes)
    return f"{format_size(need.memory_bytes)} of memory, {processors}, {disk} of disk"


def size(
    *,
    users: Annotated[int, Option("--users", "Ask for so many users instead.", "N")] = 0,
    at_once: Annotated[
        int, Option("--at-once", "How many of them work at the same time; all.", "N")
    ] = 0,
    memory: Annotated[str, Option("--memory", "Memory of one server, as 1G.", "SIZE")] = "",
    light: Annotated[bool, Option("--light", "Text and small tables.")] = False,
    heavy: Annotated[bool, Option("--heavy", "Large data, trained models.")] = False,
) -> SizeAnswer | SizeReport:
    """Print whether the machine fits its users, or what a number of users needs."""
    if not users:
        if at_once or memory or light or heavy:
            raise TljhError("a number of users is needed: --users N", exit_code=Exit.USAGE)
        return SizeReport(read_sizing(RealHost(), get_paths()))
    if light and heavy:
        raise TljhError("--light and --heavy contradict each other", exit_code=Exit.USAGE)
    if users < 0 or at_once < 0 or at_once > users:
        raise TljhError("--at-once must be between 1 and --users", exit_code=Exit.USAGE)
    workload = LIGHT if light else HEAVY if heavy else NORMAL
    workload = choose_workload(workload, _check_memory(memory))
    return SizeAnswer(users, workload, compute_need(users, at_once or users, workload))


def _check_memory(text: str) -> str | None:
    if not text:
        return None
    try:
        checked: str | None = TypeAdapter(Memory).validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise TljhError(f"--memory {message}", exit_code=Exit.USAGE) from None
    return checked
