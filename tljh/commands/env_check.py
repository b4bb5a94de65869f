"""`tljh env check`: what is broken in the user environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh.base.progress import format_count
from tljh.commands.chosen_environment import EnvOption, choose_environment, name_commands
from tljh.commands.parameters import choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import env_check as operations
from tljh.operations.env_check import CheckedProblem, EnvironmentCheck


@dataclass(frozen=True)
class PrintedCheck:
    """The problems; the exit code is 0 fine, 1 broken, 2 degraded."""

    checked: EnvironmentCheck
    env: str = ""

    @property
    def exit_code(self) -> int:
        return int(self.checked.severity)

    def as_json(self) -> dict[str, Any]:
        return {
            "status": self.checked.severity.name.lower(),
            "packages": self.checked.packages,
            "files": self.checked.files,
            "problems": [_describe(item) for item in self.checked.problems],
        }

    def as_text(self) -> str:
        checked = self.checked
        amount = (
            f"{format_count(checked.packages, 'package')}, {format_count(checked.files, 'file')}"
        )
        lines = [f"{self.env or 'user'} environment: {checked.severity.name.lower()} ({amount})"]
        lines += [item.finding.as_text(item.severity.label) for item in checked.problems]
        return name_commands("\n".join(lines), self.env)


def _describe(item: CheckedProblem) -> dict[str, Any]:
    problem = item.problem
    return {
        "kind": item.kind,
        "severity": item.severity.label,
        "package": problem.package if problem else None,
        "source": problem.source if problem else None,
        "paths": list(problem.paths) if problem else [],
        **item.finding.as_json(),
    }


def check(*, env: EnvOption = "", as_json: bool = False) -> PrintedCheck:
    """Find missing and changed files, wrong modes, and packages that do not fit; change nothing.

    The exit code is 0 fine, 1 broken, 2 degraded.
    """
    progress = choose_progress_on_stderr(as_json)
    with choose_environment(env) as paths:
        return PrintedCheck(operations.check(RealHost(), paths, progress), env)
