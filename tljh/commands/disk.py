"""`tljh disk`: who and what takes the space, and the pruning of caches."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.base.sizes import format_size
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import disk_usage as operations
from tljh.operations.disk_usage import DiskReport, Usage

SHOWN_HOMES = 10


@dataclass(frozen=True)
class DiskTable:
    """File systems, what the hub has on them, and the largest homes."""

    report: DiskReport
    shows_all: bool

    def as_text(self) -> str:
        lines = []
        for each in self.report.file_systems:
            free = format_size(each.free_bytes)
            lines.append(f"{each.mount}: {each.percent} % used, {free} of {_size(each)} left")
        lines.append("")
        lines += [_format(usage) for usage in self.report.usages]
        homes = self.report.homes
        total = sum(usage.size_bytes for usage in homes)
        lines += ["", f"homes of users, {format_size(total)} together:"]
        count = len(homes) if self.shows_all else SHOWN_HOMES
        lines += [_format(usage) for usage in homes[:count]]
        if len(homes) > count:
            lines.append(f"and {len(homes) - count} more: sudo tljh disk --all")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return asdict(self.report)


def _size(each: operations.DiskFree) -> str:
    return format_size(each.size_bytes)


def _format(usage: Usage) -> str:
    line = f"{format_size(usage.size_bytes):>8}  {usage.name} ({usage.path})"
    return f"{line}; less: {usage.fix}" if usage.fix else line


def disk(
    *,
    show_all: Annotated[bool, Option("--all", "All homes, not only the largest ten.")] = False,
    clean: Annotated[
        bool, Option("--clean", "Prune caches and old logs instead; they are made again.")
    ] = False,
    as_json: bool = False,
) -> DiskTable | Summary:
    """Print who and what takes the space; with large homes it takes minutes."""
    host, paths = RealHost(), get_paths()
    if clean:
        freed = operations.clean_disks(host, paths, choose_progress_on_stderr(as_json))
        return Summary((f"{format_size(freed)} freed",), {"freed_bytes": freed})
    return DiskTable(operations.measure_disks(host, paths), show_all)
