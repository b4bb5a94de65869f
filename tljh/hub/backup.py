"""What of the hub belongs into a backup: configuration, secrets, and the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.backup_contents import BackupContents
from tljh.host.interface import HostReader
from tljh.host.sqlite_file import find_companion_files

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contents(host: HostReader, config: Config, paths: Paths) -> BackupContents:
    """Return the configuration, and the state but for what belongs to this machine alone."""
    database = paths.hub_database
    left_out = {
        # Before-images of changes to this machine, and what the next apply renders again.
        paths.journal_dir,
        paths.applied.directory,
        paths.isolation_rules,
        paths.backup_dir,
        # Of this machine; and names in it go after a month, which they would not from backups.
        paths.usage_history,
        *find_companion_files(paths.usage_history),
        # Large, and read where they are; or made again by the next migration.
        paths.archived_homes,
        # Another machine may have the homes on its only disk.
        paths.homes_marker,
        paths.database_copies,
        paths.database_trial,
        paths.environment_lock,
        paths.move_order,
        paths.move_order.with_suffix(".done"),
        database,
        *find_companion_files(database),
    }
    state = [paths.state_dir / name for name in host.listdir(paths.state_dir)]
    return BackupContents(
        staged=(paths.config_dir, *(path for path in state if path not in left_out)),
        # A database on a server is copied into a file of SQLite of this name.
        databases=(database,) if host.info(database) and config.database.kind == "sqlite" else (),
    )
