"""What of a part belongs into a backup, as the part's `backup.py` declares it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BackupContents:
    """Paths of a part that a backup has.

    `staged` are small files and directories that belong together: they are copied at one moment,
    while no command changes the machine. `databases` are SQLite files, copied as databases.
    `trees` are read where they are. `excluded` are patterns of restic below them.
    """

    staged: tuple[Path, ...] = ()
    databases: tuple[Path, ...] = ()
    trees: tuple[Path, ...] = ()
    excluded: tuple[str, ...] = ()

    def __add__(self, other: BackupContents) -> BackupContents:
        return BackupContents(
            self.staged + other.staged,
            self.databases + other.databases,
            self.trees + other.trees,
            self.excluded + other.excluded,
        )
