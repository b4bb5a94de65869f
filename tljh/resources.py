"""What a machine can be asked to have: each kind knows its difference, its effect and its undo.

A resource is a frozen value. `difference` compares it with a machine that it can only read;
`before` records what an undo needs, as JSON; `apply` has the effect and may be run again after
being killed half-way; `revert` works from the record alone, because after a crash the
configuration that led to the resource may be gone.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from tljh.errors import TljhError
from tljh.host.base import FileInfo, Host, HostReader
from tljh.output import Progress

Record = dict[str, Any]

# Where kinds of resources are declared: an undo after a crash may need one that nothing in this
# process has asked for yet.
KINDS_ARE_IN = (
    "tljh.conda.resource",
    "tljh.conda.tools",
    "tljh.hub.database",
    "tljh.hub.reconcile",
    "tljh.hub.disk",
    "tljh.hub.resources",
    "tljh.hub.running",
    "tljh.hub.shares",
    "tljh.proxy.certificates.resource",
    "tljh.sudoers",
    "tljh.systemd.resource",
)


class Undo(Enum):
    """How a change is taken back."""

    RESTORE = "restore"
    SWAP = "swap"
    SNAPSHOT = "snapshot"
    ONE_WAY = "one-way"


@dataclass(frozen=True)
class Difference:
    """What applying a resource would change.

    `sign` is `+` (new), `~` (changed), `-` (removed) or `!` (cannot be undone).
    """

    sign: str
    summary: str
    diff: tuple[str, ...] = ()


class Resource(ABC):
    """One thing the machine shall have."""

    kind: ClassVar[str]
    undo: ClassVar[Undo] = Undo.RESTORE
    _kinds: ClassVar[dict[str, type[Resource]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Resource._kinds[cls.kind] = cls

    @classmethod
    def of_kind(cls, kind: str) -> type[Resource]:
        if kind not in cls._kinds:
            for module in KINDS_ARE_IN:
                import_module(module)
        try:
            return cls._kinds[kind]
        except KeyError:
            raise TljhError(
                f"the journal names a kind of change that is not known here: {kind}",
                why="it was written by another release, or by a plugin that is gone",
                fix="install the release or the plugin that wrote it, then run this again",
            ) from None

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in a plan; unique within its kind."""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    @abstractmethod
    def difference(self, host: HostReader) -> Difference | None: ...

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """What a plan holds of this, given the keys of what changes before it."""
        found = self.difference(host)
        return (self, found) if found else None

    def started(self, host: Host) -> Resource:
        """The same with its long work begun, in a place that nothing refers to; itself for none.

        What was begun belongs to this process alone: killed, it leaves only what the next run
        of the same kind removes. `stop` ends it where it does not come to be applied.
        """
        return self

    def stop(self, host: Host) -> None:
        """End what `started` began, unless it was applied, and leave nothing of it."""
        return

    @abstractmethod
    def before(self, host: HostReader) -> Record: ...

    @abstractmethod
    def apply(self, host: Host, progress: Progress) -> None: ...

    @classmethod
    @abstractmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        """Take it back, by what `before` recorded; returns what it left alone, to be told."""

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        """What an undo has left to do once everything is reverted; restarts, for example."""
        return


class Wish(Resource):
    """A resource that no plan holds: planning puts in its place the change that it comes to."""

    def difference(self, host: HostReader) -> Difference | None:
        found = self.planned(host, frozenset())
        return found[1] if found else None

    @abstractmethod
    def planned(
        self, host: HostReader, changed: Set[str]
    ) -> tuple[Resource, Difference] | None: ...

    def before(self, host: HostReader) -> Record:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not the wish for it")

    def apply(self, host: Host, progress: Progress) -> None:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not the wish for it")

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        raise NotImplementedError(f"a journal holds changes, not wishes: {cls.kind}")


def _describe(info: FileInfo) -> str:
    return f"{info.mode:04o} {info.owner}:{info.group}"


def file_image(host: HostReader, path: Path) -> Record:
    """What stands at `path`: enough to put it back with `put_back`. Directories without content."""
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


def put_back(host: Host, image: Mapping[str, Any]) -> None:
    """Bring a path back to its image; a directory that was not there goes only when it is empty."""
    path = Path(image["path"])
    now = host.info(path)
    kind = image.get("kind")
    if kind is None:
        if now is not None and not (now.kind == "directory" and host.listdir(path)):
            host.remove(path)
        return
    if now is not None and now.kind != kind:
        host.remove(path)
        now = None
    access = {"mode": image["mode"], "owner": image["owner"], "group": image["group"]}
    if kind == "file":
        host.write(path, base64.b64decode(image["data"]), **access)
    elif kind == "symlink":
        host.symlink(path, image["target"])
    elif kind == "directory":
        host.mkdir(path, **access)


def _digest(data: bytes | None) -> str | None:
    return None if data is None else hashlib.sha256(data).hexdigest()


def _written_since(host: HostReader, record: Record) -> bool:
    """Whether somebody wrote to the path after we left it as `left` tells."""
    before = base64.b64decode(record["data"]) if "data" in record else None
    return _digest(host.read(Path(record["path"]))) not in (record["left"], _digest(before))


class PathResource(Resource):
    """What stands at one path; undone by putting back what stood there.

    Where the record says what we left there (`left`), the path is one that people write to: a
    run that was killed is undone minutes or days later, and not over what they wrote since.
    """

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def before(self, host: HostReader) -> Record:
        return file_image(host, self.path)

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        if "left" in record and _written_since(host, record):
            return f"{record['path']} was written to since, and stays as it is"
        put_back(host, record)
        return None


@dataclass(frozen=True)
class Directory(PathResource):
    """A directory with its owner and mode; what lies in it is others' business."""

    path: Path
    mode: int
    owner: str = "root"
    group: str = "root"

    kind: ClassVar[str] = "directory"

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", f"{self.mode:04o} {self.owner}:{self.group}")
        if info.kind != "directory":
            raise TljhError(
                f"{self.path} is a {info.kind}, where a directory is needed",
                fix=f"move it away: sudo mv {self.path} {self.path}.old",
            )
        if (info.mode, info.owner, info.group) == (self.mode, self.owner, self.group):
            return None
        return Difference("~", f"{_describe(info)} -> {self.mode:04o} {self.owner}:{self.group}")

    def apply(self, host: Host, progress: Progress) -> None:
        host.mkdir(self.path, mode=self.mode, owner=self.owner, group=self.group)


@dataclass(frozen=True)
class File(PathResource):
    """A file with exactly this content; `secret` keeps the content out of plans.

    `is_admins` is for a file that people write to as well: an undo respects what they wrote.
    """

    path: Path
    data: bytes
    mode: int = 0o644
    owner: str = "root"
    group: str = "root"
    secret: bool = False
    is_admins: bool = False

    kind: ClassVar[str] = "file"

    def before(self, host: HostReader) -> Record:
        image = super().before(host)
        return {**image, "left": _digest(self.data)} if self.is_admins else image

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return Difference("+", f"{len(self.data)} bytes")
        if info.kind == "directory":
            raise TljhError(
                f"{self.path} is a directory, where a file is needed",
                fix=f"move it away: sudo mv {self.path} {self.path}.old",
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
        diff = tuple(
            difflib.unified_diff(
                old.decode(errors="replace").splitlines(),
                self.data.decode(errors="replace").splitlines(),
                "now",
                "then",
                lineterm="",
                n=1,
            )
        )[2:]
        added = sum(line.startswith("+") for line in diff)
        removed = sum(line.startswith("-") for line in diff)
        return Difference("~", f"+{added} -{removed}", diff)

    def apply(self, host: Host, progress: Progress) -> None:
        host.write(self.path, self.data, mode=self.mode, owner=self.owner, group=self.group)


@dataclass(frozen=True)
class Access(Resource):
    """Who may read and write what is there already; the content is others' business."""

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
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if host.info(path) is not None:
            host.chmod(path, mode=record["mode"], owner=record["owner"], group=record["group"])


@dataclass(frozen=True)
class Symlink(PathResource):
    """A symbolic link; pointing the hub's link elsewhere is how its environment is swapped."""

    path: Path
    target: str

    kind: ClassVar[str] = "symlink"
    undo: ClassVar[Undo] = Undo.SWAP

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is not None and info.kind != "symlink":
            raise TljhError(
                f"{self.path} is a {info.kind} that we did not make, where a link is needed",
                fix=f"move it away: sudo mv {self.path} {self.path}.old",
            )
        now = host.readlink(self.path)
        if now == self.target:
            return None
        return Difference("+" if now is None else "~", f"-> {self.target}")

    def apply(self, host: Host, progress: Progress) -> None:
        host.symlink(self.path, self.target)


@dataclass(frozen=True)
class Absent(PathResource):
    """A file or link that shall be gone; a directory only when it is empty.

    `is_admins` is for what people put there: an undo respects what they put there since.
    """

    path: Path
    is_admins: bool = False

    kind: ClassVar[str] = "absent"

    def before(self, host: HostReader) -> Record:
        image = super().before(host)
        return {**image, "left": None} if self.is_admins else image

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None or (info.kind == "directory" and host.listdir(self.path)):
            return None
        return Difference("-", info.kind)

    def apply(self, host: Host, progress: Progress) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class Group(Resource):
    """A group; with `members`, exactly these accounts are in it."""

    group: str
    system: bool = False
    members: frozenset[str] | None = None

    kind: ClassVar[str] = "group"

    @property
    def name(self) -> str:
        return self.group

    def difference(self, host: HostReader) -> Difference | None:
        found = host.group(self.group)
        if found is None:
            return Difference("+", ", ".join(sorted(self.members or ())))
        if self.members is None or set(found.members) == self.members:
            return None
        joins = [f"+{name}" for name in sorted(self.members - set(found.members))]
        leaves = [f"-{name}" for name in sorted(set(found.members) - self.members)]
        return Difference("~", " ".join(joins + leaves))

    def before(self, host: HostReader) -> Record:
        found = host.group(self.group)
        return {"group": self.group, "members": list(found.members) if found else None}

    def apply(self, host: Host, progress: Progress) -> None:
        if host.group(self.group) is None:
            host.add_group(self.group, system=self.system)
        if self.members is not None:
            _set_members(host, self.group, self.members)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if record["members"] is None:
            host.remove_group(record["group"])
        elif host.group(record["group"]):
            _set_members(host, record["group"], frozenset(record["members"]))


def _set_members(host: Host, group: str, members: frozenset[str]) -> None:
    found = host.group(group)
    now = set(found.members) if found else set()
    for name in sorted(members - now):
        host.add_to_group(name, group)
    for name in sorted(now - members):
        host.remove_from_group(name, group)


@dataclass(frozen=True)
class SystemUser(Resource):
    """An account that a service runs as: no login, no home of its own, a group of its name."""

    user: str
    home: Path

    kind: ClassVar[str] = "user"

    @property
    def name(self) -> str:
        return self.user

    def difference(self, host: HostReader) -> Difference | None:
        return None if host.user(self.user) else Difference("+", "system account")

    def before(self, host: HostReader) -> Record:
        return {"user": self.user, "existed": host.user(self.user) is not None}

    def apply(self, host: Host, progress: Progress) -> None:
        host.add_user(
            self.user,
            home=self.home,
            system=True,
            shell="/usr/sbin/nologin",
            create_home=False,
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if not record["existed"]:
            host.remove_user(record["user"])


@dataclass(frozen=True)
class AptPackages(Resource):
    """Debian packages that shall be installed; kept when all else is undone."""

    packages: tuple[str, ...]

    kind: ClassVar[str] = "apt"
    undo: ClassVar[Undo] = Undo.ONE_WAY

    @property
    def name(self) -> str:
        return " ".join(self.packages)

    def _missing(self, host: HostReader) -> list[str]:
        return [name for name in self.packages if host.package(name) is None]

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing(host)
        return Difference("!", f"installs {', '.join(missing)}") if missing else None

    def before(self, host: HostReader) -> Record:
        return {"missing": self._missing(host)}

    def apply(self, host: Host, progress: Progress) -> None:
        from tljh.host.apt import install

        install(host, self._missing(host), progress)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        """Nothing: other packages may need them by now."""
