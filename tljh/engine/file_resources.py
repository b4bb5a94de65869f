"""Files, directories, links and their permissions as resources.

Each is rolled back by restoring an image: what was at the path before the change.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress, format_count
from tljh.base.sizes import format_size
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import FileInfo, Host, HostReader

# Lines for a plan, from the old and the new content of a file.
Comparison = Callable[[bytes, bytes], Sequence[str]]


def _describe(info: FileInfo) -> str:
    return f"{info.mode:04o} {info.owner}:{info.group}"


def read_image(host: HostReader, path: Path) -> Record:
    """Record what is at `path`, so that `restore_image` can restore it.

    Of a directory it is owner and mode, not the content.
    """
    info = host.info(path)
    image: Record = {"path": str(path)}
    if info is None:
        return image
    image |= {"kind": info.kind, "mode": info.mode, "owner": info.owner, "group": info.group}
    if info.kind == "file":
        image["data"] = base64.b64encode(host.read(path) or b"").decode()
    elif info.kind == "symlink":
        image["target"] = host.readlink(path)
    return image


def restore_image(host: Host, image: Mapping[str, Any]) -> None:
    """Restore a path from its record: content, owner and mode, or that nothing was there.

    A directory that did not exist before is removed only when it is empty.
    """
    path = Path(image["path"])
    current = host.info(path)
    kind = image.get("kind")
    if kind is None:
        # A directory with files in it: an admin or a user may have put them there since.
        if current is not None and not (current.kind == "directory" and host.listdir(path)):
            host.remove(path)
        return
    if current is not None and current.kind != kind:
        host.remove(path)
    access = {"mode": image["mode"], "owner": image["owner"], "group": image["group"]}
    if kind == "file":
        host.write(path, base64.b64decode(image["data"]), **access)
    elif kind == "symlink":
        host.symlink(path, image["target"])
    elif kind == "directory":
        host.mkdir(path, **access)


def _compute_digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _was_edited(host: HostReader, record: Record) -> bool:
    """Return whether a file was changed by another program since we wrote it.

    It then has neither the content before our change, nor ours.
    """
    before = base64.b64decode(record["data"]) if "data" in record else None
    return _compute_digest(host.read(Path(record["path"]))) not in (
        record["written"],
        _compute_digest(before),
    )


class PathResource(Resource):
    """What is at one path; a rollback restores what was there before.

    Files that admins edit, too, have the digest of what we wrote in their record (`written`; null:
    we removed the file). The rollback of a killed run may happen days later: it must not overwrite
    an edit that the admin made since, so it leaves such a file alone.
    """

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def before(self, host: HostReader) -> Record:
        return read_image(host, self.path)

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        if "written" in record and _was_edited(host, record):
            return f"{record['path']} was edited since, so it is not rolled back"
        restore_image(host, record)
        return None

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        path = Path(record["path"])
        current = read_image(host, path)
        image = {key: value for key, value in record.items() if key != "written"}
        if current == image:
            return None
        if "kind" in image:
            return Difference("~", "as it was before tljh")
        if current["kind"] == "directory":
            return Difference("-", "directory, if nothing else is in it by then")
        return Difference("-", current["kind"])


@dataclass(frozen=True)
class Directory(PathResource):
    """A directory with its owner and mode; its content is not ours."""

    path: Path
    mode: int
    owner: str = "root"
    group: str = "root"

    kind: ClassVar[str] = "directory"
    stage: ClassVar[Stage] = Stage.PREPARE

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", f"{self.mode:04o} {self.owner}:{self.group}")
        if info.kind != "directory":
            raise TljhError(
                f"{self.path} is a {info.kind}, where a directory is needed",
                fix=f"move it away: sudo mv {quote(str(self.path))} {quote(f'{self.path}.old')}",
            )
        if (info.mode, info.owner, info.group) == (self.mode, self.owner, self.group):
            return None
        return Difference("~", f"{_describe(info)} -> {self.mode:04o} {self.owner}:{self.group}")

    def apply(self, host: Host, progress: Progress) -> None:
        host.mkdir(self.path, mode=self.mode, owner=self.owner, group=self.group)


@dataclass(frozen=True)
class File(PathResource):
    """A file with exactly this content; `secret` keeps the content out of plans.

    `compare` describes a change of content in a plan, in place of the lines of the file.
    `is_admins` is for a file that admins edit, too: a rollback never overwrites their edit.
    """

    path: Path
    data: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    is_admins: bool = False
    compare: Comparison | None = None

    kind: ClassVar[str] = "file"

    def before(self, host: HostReader) -> Record:
        image = super().before(host)
        return {**image, "written": _compute_digest(self.data)} if self.is_admins else image

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", format_size(len(self.data)))
        if info.kind == "directory":
            raise TljhError(
                f"{self.path} is a directory, where a file is needed",
                fix=f"move it away: sudo mv {quote(str(self.path))} {quote(f'{self.path}.old')}",
            )
        old = host.read(self.path) if info.kind == "file" else b""
        if old != self.data:
            return self._content_difference(old or b"")
        if info.kind != "file" or (info.mode, info.owner, info.group) != (
            self.mode,
            self.owner,
            self.group,
        ):
            return Difference(
                "~", f"{_describe(info)} -> {self.mode:04o} {self.owner}:{self.group}"
            )
        return None

    def _content_difference(self, old: bytes) -> Difference:
        if self.secret:
            return Difference("~", "content changes (secret, not shown)")
        if self.compare:
            lines = tuple(self.compare(old, self.data))
            return Difference("~", format_count(len(lines), "value"), lines)
        diff = tuple(
            difflib.unified_diff(
                old.decode(errors="replace").splitlines(),
                self.data.decode(errors="replace").splitlines(),
                "current",
                "planned",
                lineterm="",
                n=1,
            )
        )[2:]  # without the two header lines
        added = sum(line.startswith("+") for line in diff)
        removed = sum(line.startswith("-") for line in diff)
        return Difference("~", f"+{added} -{removed}", diff)

    def apply(self, host: Host, progress: Progress) -> None:
        host.write(self.path, self.data, mode=self.mode, owner=self.owner, group=self.group)


@dataclass(frozen=True)
class Access(Resource):
    """Owner and mode of a path whose content is not ours; a missing path stays missing."""

    path: Path
    mode: int
    owner: str = "root"
    group: str = "root"

    kind: ClassVar[str] = "access"

    @property
    def name(self) -> str:
        return str(self.path)

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None or (info.mode, info.owner, info.group) == (
            self.mode,
            self.owner,
            self.group,
        ):
            return None
        return Difference("~", f"{_describe(info)} -> {self.mode:04o} {self.owner}:{self.group}")

    def before(self, host: HostReader) -> Record:
        info = host.info(self.path)
        assert info is not None
        return {
            "path": str(self.path),
            "mode": info.mode,
            "owner": info.owner,
            "group": info.group,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        host.chmod(self.path, mode=self.mode, owner=self.owner, group=self.group)

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        info = host.info(Path(record["path"]))
        before = (record["mode"], record["owner"], record["group"])
        if info is None or (info.mode, info.owner, info.group) == before:
            return None
        return Difference("~", "mode and owner as they were before tljh")

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if host.info(path) is not None:
            host.chmod(path, mode=record["mode"], owner=record["owner"], group=record["group"])


@dataclass(frozen=True)
class Symlink(PathResource):
    """A symbolic link; retargeting the hub's link swaps the hub environment in one rename."""

    path: Path
    target: str

    kind: ClassVar[str] = "symlink"
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SWAP

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is not None and info.kind != "symlink":
            raise TljhError(
                f"{self.path} is a {info.kind} that tljh did not make, where a link is needed",
                fix=f"move it away: sudo mv {quote(str(self.path))} {quote(f'{self.path}.old')}",
            )
        current = host.readlink(self.path)
        if current == self.target:
            return None
        return Difference("+" if current is None else "~", f"-> {self.target}")

    def apply(self, host: Host, progress: Progress) -> None:
        host.symlink(self.path, self.target)


@dataclass(frozen=True)
class Absent(PathResource):
    """A path without a file, a link or an empty directory; a directory with files stays.

    `is_admins` is for an admin's file: a rollback never overwrites one that was put there since.
    """

    path: Path
    is_admins: bool = False

    kind: ClassVar[str] = "absent"

    def before(self, host: HostReader) -> Record:
        image = super().before(host)
        return {**image, "written": None} if self.is_admins else image

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None or (info.kind == "directory" and host.listdir(self.path)):
            return None
        return Difference("-", info.kind)

    def apply(self, host: Host, progress: Progress) -> None:
        host.remove(self.path)
