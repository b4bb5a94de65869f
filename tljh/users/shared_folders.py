"""Shared folders: directories in which every member of a group can change every file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.account_resources import Group
from tljh.engine.file_resources import Directory, read_image, restore_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader

# setgid: new files inside belong to the folder's group.
MODE = 0o2770


def build_shared_folders(folders: Mapping[str, str]) -> list[Resource]:
    """Return the resources of shared folders (name -> group), and of the groups they need."""
    if not folders:
        return []
    return [
        Directory(Paths.shared_folders, 0o755),
        *(Group(group) for group in sorted(set(folders.values()))),
        *(
            SharedFolder(Paths.shared_folders / name, group)
            for name, group in sorted(folders.items())
        ),
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

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", f"group {self.group}")
        if info.kind != "directory":
            raise TljhError(
                f"{self.path} is a {info.kind}, but a shared folder needs a directory",
                fix=f"move it away: sudo mv {quote(str(self.path))} {quote(f'{self.path}.old')}",
            )
        if info.group != self.group or info.mode != MODE:
            return Difference("~", f"group {info.group} -> {self.group}, mode {MODE:04o}")
        sharing = host.groups_sharing(self.path)
        if sharing == frozenset({self.group}):
            return None
        others = ", ".join(sorted((sharing or frozenset()) - {self.group}))
        text = f"access for {self.group}" + (f", no longer for {others}" if others else "")
        return Difference("~", text)

    def before(self, host: HostReader) -> Record:
        sharing = sorted(host.groups_sharing(self.path) or ())
        return {**read_image(host, self.path), "sharing": sharing, "new": self.group}

    def apply(self, host: Host, progress: Progress) -> None:
        info = host.info(self.path)
        revoked = {info.group} if info is not None else set()
        revoked |= host.groups_sharing(self.path) or frozenset()
        host.mkdir(self.path, mode=MODE, owner="root", group=self.group)
        _share(host, self.path, self.group, frozenset(revoked - {self.group, "root"}))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        restore_image(host, record)
        path = Path(record["path"])
        if host.info(path) is None:
            return
        # The ACLs of everything inside go back too, to the group that the folder had.
        before = [group for group in record["sharing"] if host.group(group) is not None]
        revoked = frozenset({record["new"]} - set(before))
        for group in before or (None,):
            _share(host, path, group, revoked)


def _share(host: Host, path: Path, group: str | None, revoked: frozenset[str]) -> None:
    try:
        host.share_tree(path, group, revoked=revoked)
    except OSError as error:
        raise TljhError(
            f"{path} cannot be shared",
            why=error.strerror,
            fix="mount its file system with POSIX ACLs: see `man 5 acl`",
        ) from error
