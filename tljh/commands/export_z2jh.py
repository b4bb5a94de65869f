"""`tljh export z2jh`: the hub as files for the chart of Zero to JupyterHub, on Kubernetes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.commands.parameters import Argument, Option, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import kubernetes_export as operations
from tljh.operations.kubernetes_export import HubDifference, PlannedExport

DEGRADED = 2


@dataclass(frozen=True)
class ExportReport:
    """The files of an export, and what was done, or would be done, with each."""

    planned: PlannedExport
    is_plan: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "directory": str(self.planned.directory),
            "written": not self.is_plan,
            "image": str(self.planned.image),
            "files": [
                {"name": name, "change": change} for name, change in self.planned.changes.items()
            ],
            "decisions": list(self.planned.export.decisions),
        }

    def as_text(self) -> str:
        planned = self.planned
        lines = []
        for name, change in planned.changes.items():
            if change != "=":
                size = format_size(len(planned.export.files.get(name, b"")))
                lines.append(f"{change} {name}" + (f" ({size})" if change != "-" else ""))
        decisions = format_count(len(planned.export.decisions), "decision")
        place = quote(str(planned.directory))
        if not lines:
            lines.append(f"{planned.directory} has the hub as it is; nothing has changed.")
        elif self.is_plan:
            lines.append(f"To write it: sudo tljh export z2jh {place}")
        else:
            lines.append(f"Written to {planned.directory}, with the hub's secrets in it.")
        lines.append(f"Read REPORT.md first ({decisions} for you).")
        if self.is_plan:
            lines[-1] = f"{decisions} for you:"
            lines += [f"- {text}" for text in planned.export.decisions]
            if not planned.export.decisions:
                lines.pop()
        return "\n".join(lines)


@dataclass(frozen=True)
class CheckReport:
    """What has changed in the hub since; the exit code is 0 without a change, else 2."""

    directory: Path
    differences: list[HubDifference]

    @property
    def exit_code(self) -> int:
        return DEGRADED if self.differences else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "directory": str(self.directory),
            "current": not self.differences,
            "differences": [vars(difference) for difference in self.differences],
        }

    def as_text(self) -> str:
        if not self.differences:
            return f"{self.directory} has the hub as it is."
        lines = [f"{difference.kind}: {difference.what}" for difference in self.differences]
        lines.append(f"To export again: sudo tljh export z2jh {quote(str(self.directory))}")
        return "\n".join(lines)


def export(
    directory: Annotated[str, Argument("DIRECTORY", "Where the files are, or will be.")],
    *,
    plan: Annotated[bool, Option("--plan", "Print what would be written; write nothing.")] = False,
    check: Annotated[
        bool, Option("--check", "Print what has changed in the hub since an export.")
    ] = False,
    image: Annotated[
        str | None,
        Option("--image", "The image of users' servers in your registry.", "NAME:TAG"),
    ] = None,
    as_json: bool = False,
) -> ExportReport | CheckReport:
    """Write files by which the chart of Zero to JupyterHub serves the same users on Kubernetes.

    With --check, the exit code is 0 if nothing has changed since, 2 if something has.
    """
    if check and (plan or image is not None):
        raise TljhError(
            "--check takes neither --plan nor --image",
            fix=f"sudo tljh export z2jh --check {quote(directory)}",
            exit_code=Exit.USAGE,
        )
    host, paths = RealHost(), get_paths()
    place = Path(directory).absolute()
    progress = choose_progress_on_stderr(as_json)
    if check:
        return CheckReport(place, operations.find_differences(host, paths, place, progress))
    chosen = operations.parse_image(image) if image is not None else None
    planned = operations.plan_export(host, paths, place, chosen, progress)
    if not plan:
        operations.write_export(host, planned)
    return ExportReport(planned, is_plan=plan)
