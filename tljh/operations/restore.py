"""Restoring a backup: all of it on a fresh machine, or a part on one whose hub runs."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from tljh.backup import restic
from tljh.backup.resources import list_packages
from tljh.backup.restored import PlacedState, RestoredAccounts, RestoredTrees
from tljh.base.clock import get_utc_time
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.account_resources import Group
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP, find_account_name
from tljh.host.interface import Host
from tljh.hub.facts import read_applied_database
from tljh.hub.restored_database import DatabaseRestored
from tljh.operations.backup import (
    MACHINE_FILE,
    find_staged,
    read_machine,
    read_repository,
    scratch,
)
from tljh.operations.converge import LOCK_TIMEOUT_S, Outcome, Request, converge
from tljh.operations.desired import sort_resources
from tljh.operations.facts import list_admins_directories
from tljh.operations.install_answers import InstallAnswers
from tljh.operations.installed_config import get_config_lock
from tljh.plugins.manager import Contributions
from tljh.settings.root import Config
from tljh.users.exported_accounts import ExportedAccount


@dataclass(frozen=True)
class RestoreSource:
    """Where a backup is, and what opens it; without `snapshot`, the newest one."""

    repository: str
    password: str = field(repr=False)
    variables: dict[str, str] = field(default_factory=dict, repr=False)
    snapshot: str | None = None


def parse_key_file(text: str) -> tuple[str | None, str, dict[str, str]]:
    """Return repository, password and variables of a key file; its text may be a password alone.

    Raises TljhError for a file without a password.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if len(lines) == 1 and "=" not in lines[0]:
        return None, lines[0], {}
    pairs = [line.partition("=") for line in lines]
    values = {name.strip(): value.strip() for name, _, value in pairs}
    repository, password = values.pop("repository", None), values.pop("password", None)
    if not password:
        raise TljhError(
            "the key file has no password",
            why="it has lines such as: password = …",
            fix="write it on the hub's machine: sudo tljh backup key",
            exit_code=Exit.USAGE,
        )
    return repository, password, values


def read_restore_source(answers: InstallAnswers) -> RestoreSource | None:
    """Return the backup that the bootstrap was asked to restore, if any."""
    if answers.restore is None:
        return None
    _, password, variables = parse_key_file(answers.restore_key or "")
    return RestoreSource(answers.restore, password, variables, answers.snapshot)


def restore_machine(
    host: Host, paths: Paths, source: RestoreSource, progress: Progress
) -> dict[str, Any]:
    """Bring accounts, homes, environment, configuration and state of a backup to this machine.

    The installation that follows makes a hub of them. Returns the description of the machine that
    the backup is of. On failure, rolls back and raises TljhError.
    """
    _require_fresh(host, paths)
    journal = Journal(paths.journal_dir, paths.manifest)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        opening = plan(list_opening(paths, source), host)
        _apply(host, journal, opening, progress, "open the backup")
        repository = _open_repository(host, paths, source)
        snapshot = restic.find_snapshot(
            restic.list_snapshots(host, repository), source.snapshot, repository
        )
        machine = _read_machine(host, paths, repository, snapshot)
        resources = list_restored(paths, repository, snapshot, machine)
        restoring = plan(sort_resources(resources), host)
        _apply(host, journal, restoring, progress, f"restore {snapshot.id}")
    return machine


def _apply(host: Host, journal: Journal, planned: Plan, progress: Progress, command: str) -> None:
    context = ChangeContext(get_caller_name(), command, {}, is_state=False)
    apply(planned, host, journal, context, progress=progress, health=lambda: None)


def _require_fresh(host: Host, paths: Paths) -> None:
    if host.readlink(paths.hub) is not None:
        raise TljhError(
            f"there is a hub at {paths.prefix} already",
            why="--restore brings a hub to a machine that has none",
            fix="restore a part: sudo tljh restore --help; to replace all, first: "
            "sudo tljh uninstall",
        )


def list_opening(paths: Paths, source: RestoreSource) -> list[Resource]:
    """Return what is needed to look into a repository."""
    return [
        AptPackages(list_packages(source.repository), os.environ),
        Directory(paths.prefix, 0o755),
        Directory(paths.versions, 0o755),
        Directory(paths.state_dir, 0o700),
        Directory(paths.backup_dir, 0o700),
        File(paths.backup_key, f"{source.password}\n".encode(), mode=0o600, secret=True),
    ]


def _open_repository(host: Host, paths: Paths, source: RestoreSource) -> restic.Repository:
    repository = restic.Repository(
        source.repository, paths.backup_key, paths.cache / "restic", source.variables
    )
    if not restic.exists(host, repository):
        raise TljhError(
            f"there is no repository of backups at {repository.name}",
            why="it is not there, or cannot be reached from this machine",
            fix="connect the disk or the server, and check the place: restic has "
            "a directory, sftp:USER@HOST:/path, rest:https://…, s3:https://…/bucket",
        )
    return repository


def _read_machine(
    host: Host, paths: Paths, repository: restic.Repository, snapshot: restic.BackupSnapshot
) -> dict[str, Any]:
    file = find_staged(snapshot) / MACHINE_FILE
    with scratch(host, paths.backup_dir) as directory:
        restic.restore(host, repository, snapshot.id, [file], directory)
        machine = read_machine(host.read(directory / file.relative_to("/")), snapshot)
    if machine["prefix"] != str(paths.prefix):
        raise TljhError(
            f"the backup is of a hub at {machine['prefix']}, not {paths.prefix}",
            why="environments of conda work only where they were made",
            fix=f"run the bootstrap with TLJH_INSTALL_PREFIX={machine['prefix']}",
        )
    return machine


def list_restored(
    paths: Paths,
    repository: restic.Repository,
    snapshot: restic.BackupSnapshot,
    machine: dict[str, Any],
) -> list[Resource]:
    """Return what a backup brings: one restore for each directory that its trees are in."""
    accounts = tuple(ExportedAccount.from_json(each) for each in machine["accounts"])
    groups = {str(name): int(gid) for name, gid in machine["groups"].items()}
    staged = find_staged(snapshot)
    by_root: dict[Path, list[Path]] = defaultdict(list)
    for path in map(Path, snapshot.paths):
        is_ours = path.is_relative_to(paths.prefix)
        by_root[paths.prefix if is_ours else path.parent].append(path)
    return [
        Group(USERS_GROUP),
        Group(ADMINS_GROUP),
        RestoredAccounts(accounts, groups),
        *(
            RestoredTrees(
                repository,
                snapshot.id,
                root,
                tuple(trees),
                accounts,
                tuple(sorted(groups.items())),
            )
            for root, trees in sorted(by_root.items())
        ),
        PlacedState(
            staged, (paths.config_dir, paths.state_dir), paths.backup_dir / "restored-from"
        ),
    ]


# Parts of a backup, on a machine whose hub runs.


@dataclass(frozen=True)
class OpenedBackup:
    """A backup that parts are taken from."""

    repository: restic.Repository
    snapshot: restic.BackupSnapshot


def open_backup(host: Host, paths: Paths, reference: str | None) -> OpenedBackup:
    """Return the backup with an id, by default the newest."""
    _, repository = read_repository(host, paths)
    snapshots = restic.list_snapshots(host, repository)
    return OpenedBackup(repository, restic.find_snapshot(snapshots, reference, repository))


def restore_files(
    host: Host, paths: Paths, opened: OpenedBackup, login: str, inner: str, progress: Progress
) -> Path:
    """Restore a user's home, or a path in it, into a new directory of the home; return that.

    Nothing is overwritten: the user compares and moves. Raises TljhError if the backup lacks it.
    """
    account_name = find_account_name(host, login)
    account = host.user(account_name) if account_name else None
    if account is None:
        raise TljhError(f"{login} has no account here", fix=f"sudo tljh user add {quote(login)}")
    home = Path(account.home)
    source = Path(os.path.normpath(home / inner))
    if not source.is_relative_to(home):
        raise TljhError(f"{inner} is not in the home of {login}", exit_code=Exit.USAGE)
    stamp = f"{get_utc_time():%Y%m%d-%H%M%S}"
    target = home / f"restored-{stamp}"
    with scratch(host, home.parent) as directory:
        with progress.step(f"restore {source} of backup {opened.snapshot.id}"):
            restic.restore(host, opened.repository, opened.snapshot.id, [source], directory)
        restored = directory / source.relative_to("/")
        if host.info(restored) is None:
            raise TljhError(
                f"backup {opened.snapshot.id} has no {source}",
                why="caches, trash and backup.exclude are left out",
                fix="another backup may have it: sudo tljh backup list",
            )
        # The new directory is complete, and the user's, when it appears in the home.
        complete = directory / target.name
        if source == home:
            host.rename(restored, complete)
        else:
            host.mkdir(complete, mode=0o700, owner=account.name, group=account.name)
            host.rename(restored, complete / source.name)
        host.rename(complete, target)
    return target


def read_configuration(host: Host, paths: Paths, opened: OpenedBackup) -> dict[str, bytes]:
    """Return the admins' files of a backup by name: config.yaml and drop-ins."""
    staged = find_staged(opened.snapshot)
    sources = [
        staged / paths.config_dir.relative_to("/"),
        *(staged / each.path(paths).relative_to("/") for each in list_admins_directories()),
    ]
    with scratch(host, paths.backup_dir) as directory:
        restic.restore(host, opened.repository, opened.snapshot.id, sources, directory)
        base = directory / staged.relative_to("/")
        files = {"config.yaml": host.read(base / paths.config_file.relative_to("/")) or b""}
        for each in list_admins_directories():
            place = base / each.path(paths).relative_to("/")
            for name in _list_files(host, place):
                if each.includes(name.rpartition("/")[2]):
                    files[f"{each.name}/{name}"] = host.read(place / name) or b""
    if not files["config.yaml"]:
        raise TljhError(f"backup {opened.snapshot.id} has no config.yaml")
    return files


def _list_files(host: Host, directory: Path, below: str = "") -> list[str]:
    names: list[str] = []
    for name in host.listdir(directory / below):
        info = host.info(directory / below / name)
        if info is not None and info.kind == "directory":
            names += _list_files(host, directory, f"{below}{name}/")
        elif info is not None and info.kind == "file":
            names.append(f"{below}{name}")
    return names


def make_restore_request(
    host: Host,
    paths: Paths,
    opened: OpenedBackup,
    *,
    configuration: bool,
    database: bool,
) -> Request:
    """Return the change that brings configuration, database or both of a backup back."""
    command = f"restore {opened.snapshot.id}"
    files = read_configuration(host, paths, opened) if configuration else None

    def add_database(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        if not database:
            return resources
        staged = find_staged(opened.snapshot) / paths.hub_database.relative_to("/")
        applied = read_applied_database(host, paths)
        server = applied if applied is not None and applied.is_server else None
        restored = DatabaseRestored(
            paths, opened.repository, opened.snapshot.id, staged, server=server
        )
        return [restored, *resources]

    if files is None:
        return Request(command, adjust=add_database)
    text = files["config.yaml"]
    return Request(command, configuration=lambda _: text, files=files, adjust=add_database)


def restore_parts(host: Host, paths: Paths, request: Request, progress: Progress) -> Outcome:
    """Carry out a restore of parts: planned, checked by the hub's health, and rolled back."""
    return converge(host, paths, request, progress)
