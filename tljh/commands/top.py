"""`tljh top`: who uses what at the moment."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.commands.columns import format_columns
from tljh.commands.parameters import Option
from tljh.host.interface import HostReader
from tljh.host.real import RealHost
from tljh.operations.top import Column, CurrentUse, ServerLoad, compare, read_moment

HEADINGS = ("USER", "CPU", "LIMIT", "MEMORY", "LIMIT", "TASKS", "LIMIT")


@dataclass(frozen=True)
class UsageTable:
    """The machine in one line, then a row for each server."""

    usage: CurrentUse

    def as_json(self) -> dict[str, Any]:
        return asdict(self.usage)

    def as_text(self) -> str:
        lines = format_columns([HEADINGS, *map(_format_row, self.usage.servers)])
        return "\n".join([_format_machine(self.usage), *(lines if self.usage.servers else ())])


def _format_machine(usage: CurrentUse) -> str:
    in_use = sum(each.processors for each in usage.servers)
    parts = [
        format_count(len(usage.servers), "server"),
        f"{in_use:.2f} of {format_count(usage.processors, 'processor')} in use by them, "
        f"load {usage.load:g}",
        f"{format_size(usage.available_bytes)} of {format_size(usage.memory_bytes)} memory free",
    ]
    if usage.pressure:
        waits = ", ".join(f"{name} {value:g} %" for name, value in usage.pressure.items())
        parts.append(f"waiting for {waits}")
    return "; ".join(parts)


def _format_row(load: ServerLoad) -> tuple[str, ...]:
    processors, memory = load.processor_limit, load.memory_limit_bytes
    return (
        load.user,
        f"{load.processors:.2f}",
        "-" if processors is None else f"{processors:g}",
        format_size(load.memory_bytes),
        "-" if memory is None else format_size(memory),
        str(load.tasks),
        "-" if load.tasks_limit is None else str(load.tasks_limit),
    )


def top(
    *,
    sort: Annotated[Column, Option("--sort", "What comes first.", "COLUMN")] = "cpu",
    once: Annotated[bool, Option("--once", "Print it once, and end.")] = False,
    every_s: Annotated[float, Option("--every", "Seconds between two looks.", "SECONDS")] = 2.0,
    as_json: bool = False,
) -> UsageTable | None:
    """Show what each server uses, until Ctrl-C; once if the output is no terminal."""
    tables = measure(RealHost(), sort, max(every_s, 0.2))
    if once or as_json or not sys.stdout.isatty():
        return next(tables)
    from rich.live import Live
    from rich.text import Text

    try:
        with Live(Text("measuring"), screen=True, auto_refresh=False) as live:
            for table in tables:
                live.update(Text(table.as_text(), no_wrap=True, overflow="crop"), refresh=True)
    except KeyboardInterrupt:
        return None
    return None


def measure(host: HostReader, column: Column, every_s: float) -> Iterator[UsageTable]:
    """Yield what is used, again and again."""
    before = read_moment(host)
    while True:
        host.pause(every_s)
        after = read_moment(host)
        yield UsageTable(compare(before, after, column))
        before = after
