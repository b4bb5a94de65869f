"""`tljh env repair`: the user environment as the records of its packages have it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh.base.paths import Paths
from tljh.commands.chosen_environment import EnvOption, choose_environment, name_commands
from tljh.commands.confirmation import confirm
from tljh.commands.env_packages import DryRunOption, YesOption
from tljh.commands.parameters import Summary, choose_progress_on_stderr
from tljh.conda.package_problems import PackageProblem
from tljh.host.real import RealHost
from tljh.operations import env_repair as operations
from tljh.operations.installed_environment import read_sources


@dataclass(frozen=True)
class PrintedRepair:
    """What was repaired and what was not; the exit code is 2 if something was not."""

    repair: operations.Repair
    paths: Paths

    @property
    def exit_code(self) -> int:
        return 2 if self.repair.remaining else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "repaired": list(self.repair.done),
            "remaining": _describe(self.repair.remaining),
            "snapshot": self.repair.snapshot,
        }

    def as_text(self) -> str:
        prefix = self.paths.user
        lines = [f"repaired: {line}" for line in self.repair.done]
        lines += [p.as_finding(prefix).as_text("not repaired") for p in self.repair.remaining]
        lines.append(
            f"Saved as snapshot {self.repair.snapshot}; the way back: sudo tljh env rollback"
        )
        return name_commands("\n".join(lines), self.paths.environment)


def repair(
    *,
    env: EnvOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary | PrintedRepair:
    """Bring back files, records, owners and modes of packages, from snapshots or channels.

    The exit code is 2 if something could not be repaired.
    """
    with choose_environment(env) as paths:
        return _repair(paths, dry_run=dry_run, yes=yes, as_json=as_json)


def _repair(paths: Paths, *, dry_run: bool, yes: bool, as_json: bool) -> Summary | PrintedRepair:
    host = RealHost()
    problems = operations.plan_repair(host, paths)
    data = {"repaired": [], "remaining": _describe(problems), "snapshot": None}
    if not problems:
        line = "nothing to do: the files are as the packages' records have them"
        return Summary((line,), data)
    text = "\n".join(problem.as_finding(paths.user).as_text("problem") for problem in problems)
    text = name_commands(text, paths.environment)
    if dry_run:
        return Summary((text,), data)
    confirm(text, "Repair these?", yes=yes)
    sources = read_sources(host, paths)
    progress = choose_progress_on_stderr(as_json)
    return PrintedRepair(operations.repair(host, paths, problems, sources, progress), paths)


def _describe(problems: tuple[PackageProblem, ...]) -> list[dict[str, Any]]:
    return [
        {
            "kind": problem.kind,
            "package": problem.package,
            "source": problem.source,
            "paths": list(problem.paths),
            "why": problem.why,
        }
        for problem in problems
    ]
