"""A full check of the user environment: its files, what its packages need, and a user's server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.checks import check_singleuser
from tljh.conda.environment_check import check_environment
from tljh.conda.package_problems import (
    PackageProblem,
    examine,
    find_incompatible,
    find_unmet_requirements,
)
from tljh.conda.snapshot_requests import lock_environment
from tljh.host.interface import Host
from tljh.operations.installed_environment import require_environment
from tljh.plugins.checks import CheckedMachine


@dataclass(frozen=True)
class CheckedProblem:
    """A finding of a kind, with the package and files that it is about, if any."""

    kind: str
    severity: Severity
    finding: Finding
    problem: PackageProblem | None = None


@dataclass(frozen=True)
class EnvironmentCheck:
    """All problems of the environment, and the numbers of packages and files compared."""

    problems: tuple[CheckedProblem, ...]
    packages: int
    files: int

    @property
    def severity(self) -> Severity:
        """The worst: broken, then degraded, then fine."""
        severities = {item.severity for item in self.problems}
        order = (Severity.BROKEN, Severity.DEGRADED)
        return next((worst for worst in order if worst in severities), Severity.FINE)


def check(host: Host, paths: Paths, progress: Progress) -> EnvironmentCheck:
    """Compare files with records, packages with each other, and start a server as a user does.

    Waits for a command that is changing the environment.
    """
    require_environment(host, paths)
    with lock_environment(host, paths):
        progress.advance(0, 1, "comparing files with the records of conda and pip")
        examined = examine(host, paths, is_quick=False)
        unmet = find_unmet_requirements(host, paths)
    incompatible = () if paths.environment else find_incompatible(host, paths)
    problems = [*examined.problems, *unmet, *incompatible]
    checked = [
        CheckedProblem(item.kind, item.severity, item.as_finding(paths.user), item)
        for item in problems
    ]
    subject = CheckedMachine(host, paths, None, None)
    for severity, finding in () if paths.environment else check_singleuser(subject):
        checked.append(CheckedProblem("server", severity, finding))
    for finding in _try_server(host, paths, [item.why for item in unmet], progress):
        checked.append(CheckedProblem("server", Severity.BROKEN, finding))
    return EnvironmentCheck(tuple(checked), examined.packages, examined.files)


def _try_server(
    host: Host, paths: Paths, conflicts: list[str], progress: Progress
) -> Iterable[Finding]:
    try:
        check_environment(host, paths, conflicts, progress)
    except TljhError as error:
        return error.findings
    return ()
