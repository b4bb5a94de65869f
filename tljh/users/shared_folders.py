"""Shared folders: directories in which every member of a group can change every file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.account_resources import Group
from tljh.engine.apt_resource import AptPackages
from tljh.engine.file_resources import Directory, read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader

ROOT = Path("/srv/shared")


# setgid: new files inside belong to the folder's group.
MODE = 0o2770


SETFACL_TIMEOUT_S = 600.0


def shared_folder_resources(folders: Mapping[str, str]) -> list[Resource]:
    """Return the resources for folder name -> group, with the groups and packages they need."""
    if not folders:
        return []
    return [
        AptPackages(("acl",)),
        Directory(ROOT, 0o755),
        *(Group(group) for group in sorted(set(folders.values()))),
        *(SharedFolder(ROOT / name, group) for name, group in sorted(folders.items())),
    ]


@dataclass(frozen=True)
class SharedFolder(Resource):
    """A group's directory with a default ACL, so that members can write despite a umask of 0077."""

    path: Path
    group: str

    kind: ClassVar[str] = "shared"
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def _entries(self) -> tuple[str, ...]:
        return (f"group:{self.group}:rwx", f"default:group:{self.group}:rwx")

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", f"group {self.group}")
        if info.kind != "directory":
            raise TljhError(
                f"{self.path} is a {info.kind}, but a shared folder needs a directory",
                fix=f"move it away: sudo mv {self.path} {self.path}.old",
            )
        if info.group != self.group or info.mode != MODE:
            return Difference("~", f"group {info.group} -> {self.group}, mode {MODE:04o}")
        answer = host.query(["getfacl", "--absolute-names", "--omit-header", str(self.path)])
        missing = [entry for entry in self._entries if entry not in answer.out.splitlines()]
        return Difference("~", f"access for {self.group}") if missing else None

    def before(self, host: HostReader) -> Record:
        return read_image(host, self.path)

    def apply(self, host: Host, progress: Progress) -> None:
        host.mkdir(self.path, mode=MODE, owner="root", group=self.group)
        # Existing files get the entry too, because a default ACL counts for new ones only. The
        # capital X makes directories searchable, and no file executable that is not so already.
        for arguments in (
            ["-R", "-P", "-m", f"g:{self.group}:rwX"],
            ["-R", "-P", "-d", "-m", f"u::rwX,g::rwX,g:{self.group}:rwX,o::-,m::rwX"],
        ):
            result = host.run(["setfacl", *arguments, str(self.path)], timeout_s=SETFACL_TIMEOUT_S)
            if not result.ok:
                raise TljhError(
                    f"{self.path} cannot be shared",
                    why=result.err.strip() or None,
                    fix="mount its file system with POSIX ACLs: see `man 5 acl`",
                )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        restore_image(host, record)
