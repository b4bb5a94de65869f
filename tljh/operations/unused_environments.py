"""Hub environments that nothing leads back to: each upgrade and each added package builds one."""

from __future__ import annotations

from pathlib import Path

from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.operations.release_change import read_release_before

# The newest besides those in use: a build that is about to be put in place, or the environment
# of the last state. A rollback to an earlier state builds its environment again.
KEPT = 1


def find_unused_environments(host: HostReader, paths: Paths) -> list[Path]:
    """Return the hub environments that may be removed, newest first.

    The current one, that of the release before, and unfinished ones are not among them.
    """
    link, before = host.readlink(paths.hub), read_release_before(host, paths)
    kept = {before.environment.name if before else "", Path(link or "").name}
    others = [
        paths.versions / name
        for name in host.listdir(paths.versions)
        if name.startswith("hub-") and name not in kept
    ]
    by_stamp = {str(HubEnvironmentFiles(path).stamp): path for path in others}
    if not link or not by_stamp:
        return []
    # One line for each stamp that is there: unfinished environments have none.
    lines = host.query(["stat", "--format=%Y %n", *by_stamp]).out.splitlines()
    built = [line.split(" ", 1) for line in lines]
    built.sort(key=lambda time_and_stamp: int(time_and_stamp[0]), reverse=True)
    return [by_stamp[stamp] for _, stamp in built[KEPT:]]
