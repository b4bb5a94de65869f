"""Changes of packages of the user environment: made in a copy, checked, and kept or undone."""

from __future__ import annotations

from collections.abc import Callable

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import environment_check
from tljh.conda.named_environments import KernelsPublished
from tljh.conda.package_changes import PackagePlan, PackagesChanged
from tljh.conda.pip_plugin import PipPlugin
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
from tljh.operations.installed_environment import PackageSources, read_limits


def change(
    host: Host,
    paths: Paths,
    planned: PackagePlan,
    sources: PackageSources,
    progress: Progress,
    check: Callable[..., None] = environment_check.check_environment,
) -> int:
    """Make the changes of a plan, and check the result; return the number of its snapshot.

    Where the check fails, the environment before is restored and the reason raised as TljhError.
    """
    limits = read_limits(host, paths)
    journal = Journal(paths.journal_dir)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        with lock_environment(host, paths):
            record(host, paths, UNKNOWN_CAUSE, limits)
        conflicts = environment_check.list_conflicts(host, paths)
        changed = PackagesChanged(paths, planned, sources.required)
        command = planned.command
        # It stays in the history only if the check succeeds.
        recorded = EnvironmentRecorded(paths, (changed,), command, limits, is_good=True)
        files = journal.last_files(host) or {}
        follower = (
            KernelsPublished(paths, (changed,))
            if paths.environment
            else PipPlugin(paths, (changed,))
        )
        apply(
            plan([changed, follower, recorded], host),
            host,
            journal,
            ChangeContext(get_caller_name(), command, files, is_state=False),
            progress=progress,
            health=lambda: check(host, paths, conflicts, progress),
            health_title="try the environment as users do",
        )
        remove_replaced(host, paths)
        return read_snapshots(host, paths.versions)[-1].number
