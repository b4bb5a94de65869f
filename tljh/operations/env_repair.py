"""A repair of the user environment: planned, made in a copy, compared again, and recorded."""

from __future__ import annotations

from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.package_problems import PackageProblem, examine
from tljh.conda.package_repairs import EnvironmentRepaired, select_repairable
from tljh.conda.resource import remove_replaced
from tljh.conda.snapshot_requests import UNKNOWN_CAUSE, lock_environment, record
from tljh.conda.snapshot_resources import EnvironmentRecorded
from tljh.conda.snapshots import read_snapshots
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.host.interface import Host
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import get_config_lock
from tljh.operations.installed_environment import (
    PackageSources,
    read_limits,
    require_environment,
)


@dataclass(frozen=True)
class Repair:
    """What was repaired, what was not, and the number of the new snapshot."""

    done: tuple[str, ...]
    remaining: tuple[PackageProblem, ...]
    snapshot: int


def plan_repair(host: Host, paths: Paths) -> tuple[PackageProblem, ...]:
    """Return the problems that a repair may solve."""
    require_environment(host, paths)
    with lock_environment(host, paths):
        return select_repairable(examine(host, paths, is_quick=False).problems)


def repair(
    host: Host,
    paths: Paths,
    problems: tuple[PackageProblem, ...],
    sources: PackageSources,
    progress: Progress,
) -> Repair:
    """Repair the environment; the state before becomes a snapshot first.

    Raises TljhError where nothing could be repaired, or where the result is worse than before.
    """
    limits = read_limits(host, paths)
    journal = Journal(paths.journal_dir)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        with lock_environment(host, paths):
            record(host, paths, UNKNOWN_CAUSE, limits)
        repaired = EnvironmentRepaired(paths, sources.channels, problems)
        recorded = EnvironmentRecorded(paths, (repaired,), "env repair", limits)
        remaining: list[PackageProblem] = []

        def compare() -> None:
            rest = select_repairable(examine(host, paths, is_quick=False).problems)
            if _count(rest) > _count(problems):
                what = "the environment would be worse after the repair"
                raise TljhError(what, fix="go back to a snapshot: sudo tljh env rollback")
            remaining.extend(rest)

        files = journal.last_files(host) or {}
        apply(
            plan([repaired, recorded], host),
            host,
            journal,
            ChangeContext(get_caller_name(), "env repair", files, is_state=False),
            progress=progress,
            health=compare,
            health_title="compare the files with their records again",
        )
        remove_replaced(host, paths)
        number = read_snapshots(host, paths.versions)[-1].number
        return Repair(tuple(repaired.done), tuple(remaining), number)


def _count(problems: tuple[PackageProblem, ...]) -> int:
    return sum(max(1, len(problem.paths)) for problem in problems)
