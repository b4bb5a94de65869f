"""What a plan knows of the machine besides the configuration: read before planning, never written.

Each part of tljh reads its own facts (`facts.py` of its folder) into a frozen value whose class it
declares; `Facts` holds one value of each class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from tljh.base.paths import Paths
from tljh.engine.file_resources import Symlink

T = TypeVar("T")

# Names in an admins' directory that are no part of the configuration.
LEFT_OUT = ("__pycache__",)
BACKUP_ENDINGS = (
    *("~", ".bak", ".swp", ".swo", ".orig", ".rej", ".tmp", ".pyc"),
    *(".dpkg-old", ".dpkg-new", ".dpkg-dist", ".ucf-old", ".ucf-dist"),
)


@dataclass(frozen=True)
class AdminsDirectory:
    """A directory where admins keep files that belong to each state of the history.

    `name` is the directory's name in the history, `path` computes its path. Files with other
    endings are ignored; without `endings` all files of the directory and of those in it belong
    to the state. Hidden files, backups of editors and compiled Python are always left out.
    """

    name: str
    path: Callable[[Paths], Path]
    endings: tuple[str, ...] | None = None

    @property
    def is_nested(self) -> bool:
        return self.endings is None

    def includes(self, name: str) -> bool:
        """Return whether a file of this name is one of the admins', which the history keeps."""
        if name.startswith((".", "#")) or name in LEFT_OUT:
            return False
        if self.endings is not None:
            return name.endswith(self.endings)
        return not name.endswith(BACKUP_ENDINGS)


def find_parent_directories(names: Iterable[str]) -> list[str]:
    """Return the subdirectories in which files of an admins' directory are, outer ones first."""
    parents = (parent for name in names for parent in PurePosixPath(name).parents)
    return sorted({str(parent) for parent in parents} - {"."})


def choose_mode(data: bytes) -> int:
    """Return the mode of a copy of an admin's file: a script stays executable."""
    return 0o700 if data.startswith(b"#!") else 0o600


@dataclass(frozen=True)
class Facts:
    """Everything that was read for one plan.

    `hub_environment` is the environment that the plan's programs run from; `config_bytes` is
    config.yaml as the change leaves it, `config_file` its path behind symbolic links.
    """

    hub_environment: Path
    config_file: Path
    config_bytes: bytes
    admins_files: Mapping[str, Mapping[str, bytes]]
    parts: tuple[object, ...] = ()

    def of(self, kind: type[T]) -> T:
        """Return the facts of the given class. Raises LookupError if no part has read them."""
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"no part has read {kind.__name__}")

    def files_in(self, directory: AdminsDirectory) -> Mapping[str, bytes]:
        """Return the admins' files below one of their directories: content by relative path."""
        return self.admins_files.get(directory.name, {})

    def hub_link(self, paths: Paths) -> Symlink:
        """Return the link to the hub environment: units restart when it changes."""
        # By name: while a first install is planned, the environment is in a temporary directory
        # and would be built under `versions`.
        target = paths.versions.relative_to(paths.prefix) / self.hub_environment.name
        return Symlink(paths.hub, str(target))
