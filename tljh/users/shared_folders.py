"""Folders that a group edits together: whatever one puts there, the others can change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.account_resources import Group
from tljh.engine.apt_resource import AptPackages
from tljh.engine.file_resources import Directory, file_image, put_back
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.interface import Host, HostReader

ROOT = Path("/srv/shared")


# setgid: what is made inside belongs to the group.
MODE = 0o2770


SETFACL_TIMEOUT_S = 600.0


def shared_folder_resources(folders: Mapping[str, str]) -> list[Resource]:
    """The folders of `folders`, each with its group, and what they take."""
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
    """A directory of a group with a default ACL, by which umasks of 0077 don't count in it."""

    path: Path
    group: str

    kind: ClassVar[str] = "shared"

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
                f"{self.path} is a {info.kind}, where a shared folder is needed",
                fix=f"move it away: sudo mv {self.path} {self.path}.old",
            )
        if info.group != self.group or info.mode != MODE:
            return Difference("~", f"group {info.group} -> {self.group}, mode {MODE:04o}")
        shown = host.query(["getfacl", "--absolute-names", "--omit-header", str(self.path)])
        missing = [entry for entry in self._entries if entry not in shown.out.splitlines()]
        return Difference("~", f"access for {self.group}") if missing else None

    def before(self, host: HostReader) -> Record:
        return file_image(host, self.path)

    def apply(self, host: Host, progress: Progress) -> None:
        host.mkdir(self.path, mode=MODE, owner="root", group=self.group)
        # What is there already is opened to the group, too; X: directories and programs only.
        for arguments in (
            ["-R", "-P", "-m", f"g:{self.group}:rwX"],
            ["-R", "-P", "-d", "-m", f"u::rwX,g::rwX,g:{self.group}:rwX,o::-,m::rwX"],
        ):
            done = host.run(["setfacl", *arguments, str(self.path)], timeout_s=SETFACL_TIMEOUT_S)
            if not done.ok:
                raise TljhError(
                    f"{self.path} cannot be shared",
                    why=done.err.strip() or None,
                    fix="its file system needs POSIX ACLs: see `man 5 acl`",
                )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        put_back(host, record)
