"""What a plan knows of the machine besides the configuration: read before planning, never written.

Each part of tljh reads its own facts (`facts.py` of its folder) into a frozen value whose class it
declares; `Facts` holds one value of each class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from tljh.base.paths import Paths
from tljh.engine.file_resources import Symlink

T = TypeVar("T")


@dataclass(frozen=True)
class AdminsDirectory:
    """A directory where admins keep files that belong to each state of the history.

    `name` is the directory's name in the history, `path` computes its path. Files with other
    endings are ignored, hidden ones as well.
    """

    name: str
    path: Callable[[Paths], Path]
    endings: tuple[str, ...]

    def includes(self, file_name: str) -> bool:
        return file_name.endswith(self.endings) and not file_name.startswith(".")


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
        """Return a part's facts by their class. Raises LookupError for a part that read none."""
        for part in self.parts:
            if isinstance(part, kind):
                return part
        raise LookupError(f"no part has read {kind.__name__}")

    def files_in(self, directory: AdminsDirectory) -> Mapping[str, bytes]:
        """Return the files of an admins' directory by name."""
        return self.admins_files.get(directory.name, {})

    def with_part(self, part: object) -> Facts:
        """Return the same facts with one part's replaced, for tests and trials."""
        others = tuple(other for other in self.parts if type(other) is not type(part))
        return replace(self, parts=(*others, part))

    def hub_link(self, paths: Paths) -> Symlink:
        """Return the link to the hub environment: units restart when it changes."""
        # By name: while a first install is planned, the environment is in a temporary directory
        # and would be built under `versions`.
        target = paths.versions.relative_to(paths.prefix) / self.hub_environment.name
        return Symlink(paths.hub, str(target))
