"""Removing everything that tljh made on a machine.

The manifest says what that is, so neither the hub nor its configuration has to work. An uninstall
only goes forward: an environment that is deleted cannot come back. Killed at any point, or after a
step that failed, the next run continues; `tljh install` brings the hub back until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from tljh.base import interruptions
from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress, format_count
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT, SERVER_UNITS
from tljh.conda.adopted import list_files_in_environment
from tljh.engine.apt_resource import AptPackages
from tljh.engine.file_resources import Absent, restore_image
from tljh.engine.journal import Journal
from tljh.engine.manifest import FirstChange, extend_manifest, read_manifest
from tljh.engine.plan import Plan, plan
from tljh.engine.removals import (
    Archive,
    PurgedAccount,
    RemovedTree,
    RevertedChange,
    StoppedUnits,
)
from tljh.engine.resource import Resource
from tljh.host.accounts import find_managed_accounts
from tljh.host.interface import Host, HostReader
from tljh.machine_logins.session_limits import list_session_limits
from tljh.operations.converge import LOCK_TIMEOUT_S

# Imports every part: a manifest names kinds of changes of all of them.
from tljh.operations.parts import PARTS as PARTS
from tljh.operations.plugin_contributions import EmptiedDirectory, remove_written
from tljh.operations.plugin_events import call_event
from tljh.systemd.unit_resource import UnitChange, reload_systemd
from tljh.takeover.removals import (
    DatabaseReturned,
    StoppedHub,
    build_way_back,
    list_own_files,
)


@dataclass(frozen=True)
class Uninstall:
    """What an uninstall removes, and what stays on the machine."""

    plan: Plan
    stays: tuple[str, ...]


def plan_uninstall(host: HostReader, paths: Paths, *, purge: bool) -> Uninstall:
    """Return what `uninstall` would do; `purge` includes the users' accounts and homes.

    Raises TljhError if nothing is left of an installation.
    """
    if host.info(paths.littlest) is not None and not purge:
        raise TljhError(
            "this hub was taken over from The Littlest JupyterHub: say what is to be left",
            why="an uninstall removes its files and the user environment, too",
            fix="to go back to it: sudo tljh uninstall --back-to-tljh; to remove both, accounts "
            "and homes included: sudo tljh uninstall --purge",
        )
    changes = _read_changes(host, paths)
    if not changes and host.info(paths.prefix) is None:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            why=f"neither {paths.prefix} nor {paths.manifest} exists",
            fix="for another prefix: sudo TLJH_INSTALL_PREFIX=/path tljh uninstall",
        )
    archive = None if purge else _choose_archive(paths)
    resources = [
        *list_removals(host, paths, changes, archive=archive),
        *list_last_removals(paths, changes),
    ]
    return Uninstall(plan(resources, host), tuple(_list_what_stays(host, changes, archive, purge)))


def plan_way_back(host: HostReader, paths: Paths) -> Uninstall:
    """Return what gives a machine that was taken over back to The Littlest JupyterHub.

    Users, homes, the user environment and running servers stay. Raises TljhError if the machine
    was not taken over.
    """
    changes = _read_changes(host, paths)
    returned = build_way_back(host, paths)
    names = {each.name for each in returned} | {HUB_UNIT, PROXY_UNIT}
    archive = _choose_archive(paths)
    resources = [
        StoppedHub(),
        DatabaseReturned(paths),
        Archive(archive, (paths.config_dir, paths.state_dir, paths.log, Paths.services_data)),
        *list_unrecorded(host, paths),
        *returned,
        *(each for each in _list_reverted(changes, paths) if each.name not in names),
        *map(RemovedTree, list_files_in_environment(host, paths)),
        *map(RemovedTree, list_own_files(host, paths)),
        RemovedTree(Paths.services_data),
        RemovedTree(paths.manifest),
    ]
    stays = ["users, their homes, and the user environment as it is now"]
    return Uninstall(
        plan(resources, host), (*stays, *_list_what_stays(host, changes, archive, purge=True))
    )


def list_removals(
    host: HostReader, paths: Paths, changes: Sequence[FirstChange], *, archive: Path | None
) -> list[Resource]:
    """Return the removals in order; without `archive`, accounts and homes of users go, too.

    What frees space comes before the archive of what admins wrote, so that a full disk is no
    obstacle.
    """
    removals = _list_reverted(changes, paths)
    units = [removal for removal in removals if removal.changed_kind.startswith(UnitChange.kind)]
    written = (paths.config_dir, paths.state_dir, paths.log, Paths.services_data)
    return [
        StoppedUnits(SERVER_UNITS),
        *list_unrecorded(host, paths),
        *units,
        RemovedTree(paths.user),
        RemovedTree(paths.environments),
        RemovedTree(paths.conda),
        RemovedTree(paths.cache),
        *([Archive(archive, written)] if archive else []),
        *([] if archive else map(PurgedAccount, find_managed_accounts(host))),
        RemovedTree(paths.traefik_dir),
        # After the archive. The accounts that own it go as well.
        RemovedTree(Paths.services_data),
        *(each for each in removals if each not in units and not _is_command(each, paths)),
    ]


def list_unrecorded(host: HostReader, paths: Paths) -> list[Resource]:
    """Return removals of what the manifest does not have: the hub's own and plugins' files."""
    limits = list_session_limits(host, paths)
    return [
        *remove_written(host, paths, set())[0],
        *map(Absent, limits),
        *(EmptiedDirectory(path.parent) for path in limits),
    ]


def list_last_removals(paths: Paths, changes: Sequence[FirstChange]) -> list[Resource]:
    """Return the removals that make `tljh uninstall` impossible, for when all else is removed."""
    return [
        *(each for each in _list_reverted(changes, paths) if _is_command(each, paths)),
        RemovedTree(paths.prefix),
        RemovedTree(paths.manifest),
    ]


def _list_reverted(changes: Sequence[FirstChange], paths: Paths) -> list[RevertedChange]:
    return [
        RevertedChange(change.kind, change.name, change.record)
        for change in reversed(changes)
        if not _is_below(change.record, paths.prefix)
    ]


def _is_command(removal: RevertedChange, paths: Paths) -> bool:
    return _is_below(removal.record, paths.commands_dir)


def uninstall(
    host: Host, paths: Paths, progress: Progress, *, purge: bool, returns: bool = False
) -> Uninstall:
    """Remove everything that tljh made; return what was removed and what stays.

    With `returns`, the machine goes back to The Littlest JupyterHub, from which it was taken over.

    Raises TljhError, after all that could be removed, for what could not. The prefix, the commands
    and the manifest then stay, so that the next run continues. No signal ends it half-way: what is
    removed cannot be rolled back.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S), interruptions.held_back():
        # What the journal knows must be outside the prefix before the prefix goes.
        extend_manifest(host, paths.manifest, Journal(paths.journal_dir).changes(host))
        if returns:
            planned = plan_way_back(host, paths)
        else:
            planned = plan_uninstall(host, paths, purge=purge)
        last = {each.key for each in list_last_removals(paths, _read_changes(host, paths))}
        problems: list[Finding] = []
        _call_plugins(host, paths, "tljh_before_removal", progress)
        is_last = False
        for step in planned.plan.steps:
            if problems and step.resource.key in last:
                break
            if step.resource.key in last and not is_last:
                is_last = True
                _call_plugins(host, paths, "tljh_after_removal", progress)
            try:
                with progress.step(f"remove {step.title}"):
                    step.resource.apply(host, progress)
            except (TljhError, OSError) as error:
                problems.append(_describe_failure(step.title, error))
        if not problems:
            # Without an archive in it, nothing of ours needs the directory.
            restore_image(host, {"path": str(paths.backups)})
        reload_systemd(host)
        interruptions.keep_change()
    if problems:
        raise TljhError(problems)
    return planned


def _call_plugins(host: Host, paths: Paths, hook: str, progress: Progress) -> None:
    """Call a hook of every plugin; what fails is reported and stops nothing."""
    if host.readlink(paths.hub) is None:
        return
    try:
        failures = call_event(host, paths, hook, {})
    except (TljhError, OSError) as error:
        progress.note(f"warning: the plugins could not be called: {error}")
        return
    for failure in failures:
        progress.note(f"warning: {failure.finding.as_note()}")


def _describe_failure(title: str, error: TljhError | OSError) -> Finding:
    return Finding(
        f"{title} could not be removed",
        why=str(error),
        fix="correct the cause above, then run: sudo tljh uninstall (it continues)",
    )


def _read_changes(host: HostReader, paths: Paths) -> list[FirstChange]:
    """Return the first change of each resource: from the manifest, then from the journal."""
    changes = {change.key: change for change in read_manifest(host, paths.manifest)}
    for change in Journal(paths.journal_dir).changes(host):
        changes.setdefault(change.key, change)
    return list(changes.values())


def _is_below(record: dict[str, object], directory: Path) -> bool:
    path = record.get("path")
    return isinstance(path, str) and Path(path).is_relative_to(directory)


def _choose_archive(paths: Paths) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%d-%H%M%S")
    return paths.backups / f"uninstalled-{stamp}.tar.gz"


def _list_what_stays(
    host: HostReader, changes: Sequence[FirstChange], archive: Path | None, purge: bool
) -> list[str]:
    stays = []
    accounts = find_managed_accounts(host)
    if accounts and not purge:
        stays.append(
            f"{format_count(len(accounts), 'account')} of users with their home directories "
            "(sudo tljh uninstall --purge deletes them)"
        )
    if archive:
        stays.append(f"configuration and state of the hub, root only: {archive}")
    packages = sorted(
        {
            package
            for change in changes
            if change.kind == AptPackages.kind
            for package in change.name.split()
        }
    )
    if packages:
        stays.append(f"Debian packages: {' '.join(packages)}")
    stays.append("logs in the journal of systemd")
    return stays
