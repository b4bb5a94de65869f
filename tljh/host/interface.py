"""What tljh may ask of a machine and do to it: the only way from the core to the outside.

`HostReader` has no method that writes, so whoever is handed one cannot change the machine;
planning gets this half only. `Host` adds the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from tljh.host.quota import DiskQuota

# Before a command line: it ends with whoever started it, even if that was killed. For what goes
# on by itself for long; a tool that is quick, and writes, is better left to finish.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


FileKind = Literal["file", "directory", "symlink", "other"]


@dataclass(frozen=True)
class FileInfo:
    """What lstat tells; `mode` holds the permission bits only."""

    kind: FileKind
    mode: int
    owner: str
    group: str
    size_bytes: int = 0


@dataclass(frozen=True)
class UserInfo:
    """An entry of passwd with the names of all groups it belongs to."""

    name: str
    uid: int
    gid: int
    home: str
    shell: str
    comment: str = ""
    groups: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GroupInfo:
    """An entry of the group database."""

    name: str
    gid: int
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class UnitInfo:
    """A systemd unit as `systemctl show` sees it; `load` is `not-found` where there is none."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    main_pid: int = 0
    restarts: int = 0
    needs_daemon_reload: bool = False

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def is_enabled(self) -> bool:
        return self.enabled in ("enabled", "static", "linked", "alias")


@dataclass(frozen=True)
class Result:
    """What a finished command left; output is text, undecodable bytes replaced."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Response:
    """An HTTP answer; `status` 0 stands for no answer, and `text` then says why."""

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


class Running(Protocol):
    """A command that was started and goes on by itself."""

    def wait(self, on_line: Callable[[str], None] | None = None) -> Result:
        """Until it has ended; `on_line` is told each line, those that came before too.

        Raises TljhError when it outlives its deadline.
        """

    def stop(self) -> bool:
        """End it, unless it was waited for; whether that was necessary."""


class HostReader(Protocol):
    """The machine, to look at."""

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        """What stands there; with `follow`, what a link there leads to."""

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        """Content of a regular file; None where there is none, or a larger one."""

    def readlink(self, path: Path) -> str | None: ...
    def listdir(self, path: Path) -> list[str]:
        """Sorted names; empty where there is no such directory."""

    def user(self, name: str) -> UserInfo | None: ...
    def all_users(self) -> list[UserInfo]:
        """Every entry of passwd, without groups: those take a look at each group."""

    def group(self, name: str) -> GroupInfo | None: ...
    def disk_quota(self, path: Path, uid: int) -> DiskQuota | None:
        """What somebody has on the file system of a path; None where no limit would hold."""

    def unit(self, name: str) -> UnitInfo: ...
    def units(self, pattern: str) -> list[UnitInfo]: ...
    def package(self, name: str) -> str | None:
        """Version of an installed Debian package."""

    def query(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Result:
        """Run a command that only reads. Raises TljhError when it outlives `timeout_s`."""

    def http(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float = 5,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        verify: bool = True,
    ) -> Response: ...
    def peer_certificate(
        self, address: str, port: int, name: str | None, *, timeout_s: float = 5
    ) -> bytes | None:
        """The certificate (DER) that is served there to who asks for `name`; None for none."""

    def addresses_of(self, name: str) -> list[str]:
        """IP addresses that a host name resolves to; empty where it does not."""

    def journal(self, unit: str, lines: int = 20) -> str:
        """The last lines that systemd's journal has of a unit."""

    def monotonic_s(self) -> float: ...
    def pause(self, seconds: float) -> None:
        """Wait between two looks at a condition; never in place of a condition."""


class Host(HostReader, Protocol):
    """The machine, to change. Every method is durable when it returns."""

    def write(
        self,
        path: Path,
        data: bytes,
        *,
        mode: int,
        owner: str = "root",
        group: str = "root",
    ) -> None:
        """Replace a file atomically: beside it, fsync, rename, fsync of the directory."""

    def append(self, path: Path, data: bytes) -> None:
        """Add to a file and fsync it; the file is made 0600 where it is missing."""

    def symlink(self, path: Path, target: str) -> None:
        """Point a link at `target`, replacing a link or file that is there, atomically."""

    def mkdir(self, path: Path, *, mode: int, owner: str = "root", group: str = "root") -> None: ...
    def chmod(self, path: Path, *, mode: int, owner: str, group: str) -> None: ...
    def rename(self, path: Path, to: Path) -> None: ...
    def remove(self, path: Path) -> None:
        """Remove a file, a link or a whole tree; fine where there is none."""

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        """Run a command with effects; same errors as `query`.

        `on_line` is told each line of standard output as it comes.
        """

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Running:
        """Run a command with effects beside what is done meanwhile."""

    def add_group(self, name: str, *, system: bool = False) -> None: ...
    def remove_group(self, name: str) -> None: ...
    def add_user(
        self,
        name: str,
        *,
        home: Path,
        system: bool = False,
        shell: str = "/bin/bash",
        comment: str = "",
        create_home: bool = True,
        skeleton: Path | None = None,
    ) -> None: ...
    def remove_user(self, name: str) -> None:
        """Remove an account, never its home."""

    def lock_user(self, name: str) -> None:
        """Refuse every login, by password, key or otherwise; running processes stay."""

    def unlock_user(self, name: str) -> None: ...
    def add_to_group(self, user: str, group: str) -> None: ...
    def remove_from_group(self, user: str, group: str) -> None: ...
    def set_disk_quota(self, path: Path, uid: int, limit_bytes: int | None) -> None:
        """Limit somebody on the file system of a path. Raises OSError where that can't be."""

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result: ...
    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        """Hold a lock that dies with this process and that no child inherits.

        Raises TljhError with exit code 4 when another process holds it past the deadline.
        """
        yield
