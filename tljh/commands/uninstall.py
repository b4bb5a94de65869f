"""`tljh uninstall`: remove everything that tljh made on this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Option, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import uninstall as operations
from tljh.operations.uninstall import Uninstall

CONFIRMATION = "uninstall"
PURGE_CONFIRMATION = "delete all homes"


@dataclass(frozen=True)
class UninstallReport:
    """What an uninstall removes, or removed, and what stays."""

    uninstall: Uninstall
    is_plan: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "removed": not self.is_plan,
            "stays": list(self.uninstall.stays),
            **self.uninstall.plan.as_json(),
        }

    def as_text(self) -> str:
        count = format_count(len(self.uninstall.plan.steps), "step")
        first = describe_plan(self.uninstall) if self.is_plan else f"Done: {count}."
        return "\n".join([first, *(f"stays: {what}" for what in self.uninstall.stays)])


def describe_plan(uninstall: Uninstall) -> str:
    """Return the steps of an uninstall, one on a line."""
    steps = uninstall.plan.steps
    width = min(max((len(step.title) for step in steps), default=0), 60)
    return "\n".join(
        f"{step.difference.sign} {step.title:<{width}}  {step.difference.summary}" for step in steps
    )


def uninstall(
    *,
    plan: Annotated[bool, Option("--plan", "Print what would be removed; remove nothing.")] = False,
    purge: Annotated[
        bool, Option("--purge", "Delete users' accounts and homes too, and keep no copy.")
    ] = False,
    back_to_tljh: Annotated[
        bool,
        Option("--back-to-tljh", "Give the machine back to The Littlest JupyterHub, with users."),
    ] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> UninstallReport:
    """Remove the hub and everything else that tljh made; keep users' homes and a copy."""
    host, paths = RealHost(), get_paths()
    if purge and back_to_tljh:
        raise TljhError(
            "--purge deletes what The Littlest JupyterHub needs",
            fix="leave it out: sudo tljh uninstall --back-to-tljh",
            exit_code=Exit.USAGE,
        )
    if plan or not yes:
        if back_to_tljh:
            planned = operations.plan_way_back(host, paths)
        else:
            planned = operations.plan_uninstall(host, paths, purge=purge)
        if plan:
            return UninstallReport(planned, is_plan=True)
        confirm(UninstallReport(planned, is_plan=True), purge=purge)
    progress = choose_progress_on_stderr(as_json)
    done = operations.uninstall(host, paths, progress, purge=purge, returns=back_to_tljh)
    return UninstallReport(done, is_plan=False)


def confirm(report: UninstallReport, *, purge: bool) -> None:
    """Ask for a typed confirmation. Raises TljhError without it."""
    word = PURGE_CONFIRMATION if purge else CONFIRMATION
    answer = ""
    if sys.stdin.isatty():
        print(report.as_text(), file=sys.stderr)
        print(f'Type "{word}" to go on: ', end="", file=sys.stderr, flush=True)
        answer = sys.stdin.readline().strip()
    if answer != word:
        raise TljhError(
            "nothing was removed: an uninstall needs a confirmation",
            fix="see what goes: sudo tljh uninstall --plan; without the question: "
            "sudo tljh uninstall --yes",
            exit_code=Exit.USAGE,
        )
