"""Making, listing, checking and forgetting backups."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.backup import restic
from tljh.backup.last_runs import read_last_runs, write_last_runs
from tljh.backup.resources import get_repository
from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.sizes import format_size
from tljh.engine.backup_contents import BackupContents
from tljh.engine.journal import Journal
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import copy_database
from tljh.hub.database_resource import dump_server
from tljh.hub.facts import read_applied_database
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.parts import PARTS
from tljh.operations.plugin_events import collect_backup_contents
from tljh.settings.package_variables import read_package_variables, select_network_variables
from tljh.users.exported_accounts import export_accounts, export_groups

if TYPE_CHECKING:
    from tljh.settings.root import Config

FORMAT = 1
MACHINE_FILE = "machine.json"
COPY_TIMEOUT_S = 600


@dataclass(frozen=True)
class MadeBackup:
    """A backup that was made: its id, what it added to the repository, and its duration."""

    id: str
    added_bytes: int
    files: int
    duration_s: float


def read_repository(host: HostReader, paths: Paths) -> tuple[Config, restic.Repository]:
    """Return the configuration and its repository. Raises TljhError if none is set up."""
    current = read_installed_configuration(host, paths)
    # What was applied: an edit with a mistake in it must not stop the nightly backup.
    applied = Journal(paths.journal_dir).last_files(host) or {}
    config = load_configuration(host, paths, applied.get("config.yaml", current))
    if config.backup.repository is None or host.info(paths.backup_key) is None:
        raise TljhError(
            "no place for backups is set up",
            why="backup.repository is not set, or was not applied",
            fix="sudo tljh backup setup /mnt/backup (or sftp:USER@HOST:/path, s3:…, rest:…)",
        )
    network = select_network_variables(read_package_variables(host, paths))
    return config, get_repository(config.backup, paths, network)


def run_backup(host: Host, paths: Paths, progress: Progress) -> MadeBackup:
    """Make a backup, then forget the old ones that the settings do not keep.

    The result is recorded for `status`. Raises TljhError; a backup that was begun is continued by
    the next run, which reads only what the repository does not have.
    """
    config, repository = read_repository(host, paths)
    with _one_at_a_time(host, paths):
        try:
            backup = _make(host, paths, config, repository, progress)
            _forget(host, config, repository, progress)
        except (TljhError, OSError) as error:
            _record(host, paths, error=str(error))
            raise
        _record(
            host,
            paths,
            completed=get_utc_time().isoformat(timespec="seconds"),
            snapshot=backup.id,
            error=None,
        )
    return backup


@contextmanager
def _one_at_a_time(host: Host, paths: Paths) -> Iterator[None]:
    with host.lock(paths.backup_lock, timeout_s=LOCK_TIMEOUT_S):
        yield


def _record(host: Host, paths: Paths, **changes: str | None) -> None:
    last = read_last_runs(host, paths.last_backup)
    write_last_runs(host, paths.last_backup, replace(last, **changes))


def _make(
    host: Host, paths: Paths, config: Config, repository: restic.Repository, progress: Progress
) -> MadeBackup:
    contents = collect_contents(host, config, paths)
    try:
        # The lock: no command may change the machine between two of these copies.
        with (
            progress.step("copy configuration, state and database"),
            host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S),
        ):
            stage(host, paths, config, contents)
        restic.unlock(host, repository)
        with progress.step(f"back up to {repository.name}"):
            return _store(host, paths, contents, repository)
    finally:
        # The copies have secrets; the repository has them encrypted.
        host.remove(paths.staged_backup)


def collect_contents(host: HostReader, config: Config, paths: Paths) -> BackupContents:
    """Return what all parts and plugins put into a backup."""
    total = collect_backup_contents(host, paths, config)
    for part in PARTS:
        total += part.backup_contents(host, config, paths)
    return total


def stage(host: Host, paths: Paths, config: Config, contents: BackupContents) -> None:
    """Copy what belongs together into one directory, each path below its own name."""
    staging = paths.staged_backup
    host.remove(staging)
    host.mkdir(staging, mode=0o700)
    sources = [str(path) for path in contents.staged]
    copied = host.run(
        ["cp", "-a", "--reflink=auto", "--parents", "--", *sources, str(staging)],
        timeout_s=COPY_TIMEOUT_S,
    )
    if not copied.ok:
        raise TljhError(
            "the configuration and state could not be copied for a backup",
            why=copied.err.strip(),
            fix=f"correct the cause above; the copies need room in {staging.parent}",
        )
    for database in contents.databases:
        copy_database(database, staging / database.relative_to("/"))
    server = read_applied_database(host, paths)
    if server is not None and server.is_server:
        staged = staging / paths.hub_database.relative_to("/")
        dump_server(host, paths.hub, server, staged)
    description = json.dumps(describe_machine(host, paths, config), indent=2)
    host.write(staging / MACHINE_FILE, description.encode(), mode=0o600)


def describe_machine(host: HostReader, paths: Paths, config: Config) -> dict[str, Any]:
    """Return what a restore on another machine needs to know of this one."""
    accounts = export_accounts(host)
    return {
        "format": FORMAT,
        "tljh": version("tljh"),
        "made": get_utc_time().isoformat(timespec="seconds"),
        "prefix": str(paths.prefix),
        "home_root": config.users.home_root,
        "release": _read_release(host),
        "accounts": [account.as_json() for account in accounts],
        "groups": export_groups(host, accounts),
    }


def _read_release(host: HostReader) -> str:
    text = (host.read(Path("/etc/os-release")) or b"").decode(errors="replace")
    lines = dict(line.partition("=")[::2] for line in text.splitlines())
    return lines.get("PRETTY_NAME", "").strip('"')


def _store(
    host: Host, paths: Paths, contents: BackupContents, repository: restic.Repository
) -> MadeBackup:
    included = [paths.staged_backup, *contents.trees]
    # As files: command lines are limited, and every user can read them.
    lists = paths.backup_dir
    host.write(lists / "included", "\0".join([*map(str, included), ""]).encode(), mode=0o600)
    host.write(lists / "excluded", "\n".join([*contents.excluded, ""]).encode(), mode=0o600)
    summary: dict[str, Any] = {}

    def remember(line: str) -> None:
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("message_type") == "summary":
            summary.update(message)

    arguments = ["backup", "--json", "--tag", restic.TAG, "--files-from-raw"]
    arguments += [str(lists / "included"), "--exclude-file", str(lists / "excluded")]
    # 3: some files could not be read. They changed or went while they were read.
    result = restic.run(
        host,
        repository,
        arguments,
        timeout_s=restic.LONG_S,
        on_line=remember,
        accepted=(0, 3),
        trees=contents.trees,
    )
    if not summary:
        raise restic.describe_failure(repository, "backup", result)
    return MadeBackup(
        id=str(summary["snapshot_id"])[:8],
        added_bytes=int(summary.get("data_added_packed", summary["data_added"])),
        files=int(summary["total_files_processed"]),
        duration_s=float(summary["total_duration"]),
    )


def _forget(host: Host, config: Config, repository: restic.Repository, progress: Progress) -> None:
    keep = config.backup.keep
    arguments = ["forget", "--tag", restic.TAG, "--group-by", "host", "--keep-last", "2"]
    arguments += [f"--keep-daily={keep.daily}"]
    arguments += [f"--keep-weekly={keep.weekly}"] if keep.weekly else []
    arguments += [f"--keep-monthly={keep.monthly}"] if keep.monthly else []
    with progress.step("forget old backups"):
        restic.run(host, repository, [*arguments, "--prune"], timeout_s=restic.LONG_S)


def forget_backups(host: Host, paths: Paths, progress: Progress) -> int:
    """Forget the old backups that the settings do not keep; return how many are left."""
    config, repository = read_repository(host, paths)
    with _one_at_a_time(host, paths):
        restic.unlock(host, repository)
        _forget(host, config, repository, progress)
    return len(restic.list_snapshots(host, repository))


def list_backups(host: Host, paths: Paths) -> tuple[restic.BackupSnapshot, ...]:
    """Return the backups in the repository, oldest first."""
    _, repository = read_repository(host, paths)
    return restic.list_snapshots(host, repository)


def check_backups(host: Host, paths: Paths, progress: Progress, *, restore: bool) -> str:
    """Check the repository; with `restore`, bring the newest backup's state back into a scratch.

    Returns what was seen, in a sentence. The hub is not touched. Raises TljhError.
    """
    _, repository = read_repository(host, paths)
    with _one_at_a_time(host, paths):
        try:
            seen = _check(host, paths, repository, progress, restore=restore)
        except TljhError as error:
            _record(host, paths, check_error=str(error))
            raise
        checked = get_utc_time().isoformat(timespec="seconds")
        _record(host, paths, checked=checked, check_error=None)
    return seen


def _check(
    host: Host, paths: Paths, repository: restic.Repository, progress: Progress, *, restore: bool
) -> str:
    restic.unlock(host, repository)
    with progress.step("check the repository"):
        # A tenth of the data is read and compared; over the months, all of it.
        part = f"--read-data-subset={get_utc_time().month % 10 + 1}/10"
        restic.run(host, repository, ["check", part], timeout_s=restic.LONG_S)
    snapshot = restic.find_snapshot(restic.list_snapshots(host, repository), None, repository)
    if not restore:
        return f"the repository is whole; the newest backup is {snapshot.id}"
    with (
        progress.step(f"restore the state of {snapshot.id} into a scratch directory"),
        scratch(host, paths.backup_dir) as directory,
    ):
        counts = _try_restore(host, repository, snapshot, directory)
    return f"backup {snapshot.id} can be restored: {counts}"


@contextmanager
def scratch(host: Host, parent: Path) -> Iterator[Path]:
    """Make a directory that only root can read, for the duration of the block."""
    with tempfile.TemporaryDirectory(dir=parent, prefix="scratch-") as directory:
        yield Path(directory)


def find_staged(snapshot: restic.BackupSnapshot) -> Path:
    """Return where the copies of configuration and state are in a backup."""
    for path in snapshot.paths:
        if path.endswith("/state/backup/staged"):
            return Path(path)
    raise TljhError(
        f"backup {snapshot.id} was not made by tljh backup",
        why="it has no configuration and state of a hub",
        fix="choose another one: sudo tljh backup list",
    )


def read_machine(data: bytes | None, snapshot: restic.BackupSnapshot) -> dict[str, Any]:
    """Parse the description of the machine in a backup. Raises TljhError for a newer format."""
    try:
        machine: dict[str, Any] = json.loads(data or b"")
        known_format = int(machine["format"]) <= FORMAT
    except (ValueError, KeyError, TypeError) as error:
        raise TljhError(
            f"the description of the machine in backup {snapshot.id} cannot be read",
            why=str(error),
            fix="choose another backup: sudo tljh backup list",
        ) from error
    if not known_format:
        raise TljhError(
            f"backup {snapshot.id} is of a newer release: {machine.get('tljh')}",
            fix="restore it with that release's bootstrap.py",
        )
    return machine


def _try_restore(
    host: Host, repository: restic.Repository, snapshot: restic.BackupSnapshot, directory: Path
) -> str:
    staged = find_staged(snapshot)
    restic.restore(host, repository, snapshot.id, [staged], directory)
    restored = directory / staged.relative_to("/")
    machine = read_machine(host.read(restored / MACHINE_FILE), snapshot)
    inside = restored / Path(machine["prefix"]).relative_to("/")
    config_file = inside / "config" / "config.yaml"
    if host.read(config_file) is None:
        raise TljhError(f"backup {snapshot.id} has no config.yaml", fix="sudo tljh backup run")
    size_bytes = _check_database(host, inside / "state" / "jupyterhub.sqlite", snapshot)
    return f"config.yaml, {len(machine['accounts'])} accounts, database ({format_size(size_bytes)})"


def _check_database(host: HostReader, path: Path, snapshot: restic.BackupSnapshot) -> int:
    from tljh.host.sqlite_file import find_damage

    info = host.info(path)
    if info is None:
        return 0
    damage = find_damage(path)
    if damage:
        raise TljhError(
            f"the database in backup {snapshot.id} is damaged",
            why=damage,
            fix="check the hub's own: sudo tljh doctor; then: sudo tljh backup run",
        )
    return info.size_bytes


def format_key_file(host: HostReader, paths: Paths) -> str:
    """Return what a restore on a fresh machine needs besides the bootstrap, as a file's text."""
    _, repository = read_repository(host, paths)
    key = (host.read(paths.backup_key) or b"").decode().strip()
    lines = [
        "# What a restore of this hub needs. It opens the backups: keep it secret, and not on the",
        "# machine that it is for.",
        f"repository = {repository.location}",
        f"password = {key}",
        *(f"{name} = {value}" for name, value in sorted(repository.variables.items())),
    ]
    return "\n".join(lines)
