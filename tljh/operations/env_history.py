"""The history of the user environment: recorded, listed, compared, and gone back in."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda.named_environments import KernelsPublished
from tljh.conda.resource import remove_replaced
from tljh.conda.snapshot_requests import (
    UNKNOWN_CAUSE,
    Cause,
    Comparison,
    compare,
    describe,
    lock_environment,
    record,
)
from tljh.conda.snapshot_resources import EnvironmentRecorded, EnvironmentRestored
from tljh.conda.snapshots import Snapshot, read_snapshots
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover
from tljh.engine.journal import Journal
from tljh.engine.plan import plan
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import get_config_lock, read_installed_configuration
from tljh.operations.installed_environment import read_limits, require_environment

_LIST = "list them: sudo tljh env history"


@dataclass(frozen=True)
class EnvironmentHistory:
    """All snapshots, oldest first, and what has changed since the last one, in lines."""

    snapshots: tuple[Snapshot, ...]
    unrecorded: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedRollback:
    """The snapshot to go back to, and what that changes."""

    target: Snapshot
    comparison: Comparison


def record_change(host: Host, paths: Paths, cause: Cause) -> int | None:
    """Make a snapshot if the environment has changed; return its number, or None if it has not."""
    require_environment(host, paths)
    limits = read_limits(host, paths)
    with lock_environment(host, paths):
        number, is_new = record(host, paths, cause, limits)
    return number if is_new else None


def history(host: Host, paths: Paths) -> EnvironmentHistory:
    """Return the snapshots, and what no snapshot has yet. Waits for one that is being made."""
    read_installed_configuration(host, paths)
    with lock_environment(host, paths):
        snapshots = read_snapshots(host, paths.versions)
        if not snapshots or host.info(paths.user) is None:
            return EnvironmentHistory(snapshots)
        return EnvironmentHistory(
            snapshots, compare(host, paths, snapshots[-1].number, None).summary
        )


def find_snapshot(snapshots: tuple[Snapshot, ...], reference: str) -> Snapshot:
    """Return a snapshot by its number or name. Raises TljhError if there is none."""
    for snapshot in snapshots:
        if reference in (str(snapshot.number), *snapshot.names):
            return snapshot
    numbers = ", ".join(str(snapshot.number) for snapshot in snapshots)
    raise TljhError(
        f"there is no snapshot {reference}",
        why=f"the history has {numbers}" if snapshots else "the history is empty",
        fix=_LIST,
    )


def diff(host: Host, paths: Paths, old: str | None, new: str | None) -> Comparison:
    """Return what leads from a snapshot to another one, by default to the environment as it is.

    Without `old`, from the snapshot that `rollback` would go back to.
    """
    read_installed_configuration(host, paths)
    with lock_environment(host, paths):
        snapshots = read_snapshots(host, paths.versions)
        if old is None:
            before = _last_good(host, paths, snapshots)
        else:
            before = find_snapshot(snapshots, old)
        after = find_snapshot(snapshots, new).number if new is not None else None
        return compare(host, paths, before.number, after)


def pin(host: Host, paths: Paths, name: str) -> int:
    """Give the environment as it is a name, so that it is never pruned; return its number."""
    _check_name(name)
    require_environment(host, paths)
    limits = read_limits(host, paths)
    with lock_environment(host, paths):
        for snapshot in read_snapshots(host, paths.versions):
            if name in snapshot.names:
                raise TljhError(
                    f"snapshot {snapshot.number} has the name {name} already",
                    fix=f"take another name, or remove it first: "
                    f"sudo tljh env snapshot --delete {shlex.quote(name)}",
                )
        number, _ = record(host, paths, UNKNOWN_CAUSE, limits)
        snapshot = find_snapshot(read_snapshots(host, paths.versions), str(number))
        describe(host, paths, number, names=[*snapshot.names, name])
    return number


def unpin(host: Host, paths: Paths, name: str) -> int:
    """Remove a name from its snapshot; return the number of that."""
    read_installed_configuration(host, paths)
    with lock_environment(host, paths):
        for snapshot in read_snapshots(host, paths.versions):
            if name in snapshot.names:
                names = [other for other in snapshot.names if other != name]
                describe(host, paths, snapshot.number, names=names)
                return snapshot.number
    raise TljhError(f"no snapshot has the name {name}", fix=_LIST)


def _check_name(name: str) -> None:
    if not name or name.isdigit() or not name.isprintable() or len(name) > 100:
        raise TljhError(
            f"{name!r} cannot be the name of a snapshot",
            why="a name has up to 100 printable characters and is not a number",
            fix="sudo tljh env snapshot before-exams",
        )


def plan_rollback(host: Host, paths: Paths, reference: str | None) -> PlannedRollback:
    """Return what a rollback would change; without `reference`, to the last good snapshot."""
    read_installed_configuration(host, paths)
    with lock_environment(host, paths):
        snapshots = read_snapshots(host, paths.versions)
        if reference is None:
            target = _last_good(host, paths, snapshots)
        else:
            target = find_snapshot(snapshots, reference)
        back = compare(host, paths, target.number, None)
    return PlannedRollback(target, back)


def _last_good(host: HostReader, paths: Paths, snapshots: tuple[Snapshot, ...]) -> Snapshot:
    """Return the newest snapshot that differs from the environment and did not fail a check."""
    for snapshot in reversed(snapshots):
        if snapshot.is_good is False:
            continue
        if host.info(paths.user) is None or compare(host, paths, snapshot.number, None).paths:
            return snapshot
    raise TljhError(
        "there is no earlier state of the environment to go back to",
        why="it is as it was installed" if snapshots else "no snapshot was made yet",
        fix=_LIST,
    )


def rollback(host: Host, paths: Paths, target: Snapshot, progress: Progress) -> int | None:
    """Go back to a snapshot; return the number of the new state, or None if nothing changed.

    What other programs changed becomes a snapshot first, so this can be gone back from, too.
    """
    limits = read_limits(host, paths)
    journal = Journal(paths.journal_dir)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        if host.info(paths.user) is not None:
            with lock_environment(host, paths):
                record(host, paths, UNKNOWN_CAUSE, limits)
                if not compare(host, paths, target.number, None).paths:
                    return None
        restored = EnvironmentRestored(paths, target.number)
        recorded = EnvironmentRecorded(
            paths, (restored,), f"rollback {target.number}", limits, is_good=target.is_good
        )
        files = journal.last_files(host) or {}
        command = f"env rollback {target.number}"
        followers = (KernelsPublished(paths, (restored,)),) if paths.environment else ()
        apply(
            plan([restored, *followers, recorded], host),
            host,
            journal,
            ChangeContext(get_caller_name(), command, files, is_state=False),
            progress=progress,
            health=lambda: None,
        )
        remove_replaced(host, paths)
        return read_snapshots(host, paths.versions)[-1].number
