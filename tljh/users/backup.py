"""What of the users belongs into a backup: homes, shared folders, and archives of old homes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.backup_contents import BackupContents
from tljh.host.accounts import find_managed_accounts
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Below each home. Programs make them again, and they are often larger than the work itself.
LEFT_OUT = (".cache", ".local/share/Trash", ".npm/_cacache", ".conda/pkgs")


def contents(host: HostReader, config: Config, paths: Paths) -> BackupContents:
    """Return the homes of all users, removed ones included, and the folders that they share."""
    archives = (paths.archived_homes,) if host.info(paths.archived_homes) else ()
    if not config.backup.homes:
        return BackupContents(trees=archives)
    homes = sorted(Path(user.home) for user in find_managed_accounts(host))
    homes = [home for home in homes if host.info(home) is not None]
    shared = (Paths.shared_folders, Paths.exchange)
    folders = [path for path in shared if host.info(path) is not None]
    return BackupContents(
        trees=(*archives, *homes, *folders),
        excluded=(
            *(f"{_escape(home)}/{name}" for home in homes for name in LEFT_OUT),
            *config.backup.exclude,
        ),
    )


def _escape(path: Path) -> str:
    """Return a path as a pattern of restic that matches only itself."""
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in str(path))
