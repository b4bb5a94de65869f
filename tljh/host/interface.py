"""Interface to the machine: every file, account, package, unit and request goes through it.

`HostReader` has no method that writes: code that gets one, such as planning, cannot change the
machine. `Host` adds the effects.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from tljh.host.quota import DiskQuota

# Prefix of a command line: the command is killed when the process that started it ends, even by
# SIGKILL. For long-running commands; a quick one that writes should be left to finish.
DIES_WITH_US = ("setpriv", "--pdeathsig", "KILL")


FileKind = Literal["file", "directory", "symlink", "other"]


@dataclass(frozen=True)
class FileInfo:
    """The result of lstat; `mode` has the permission bits only."""

    kind: FileKind
    mode: int
    owner: str
    group: str
    size_bytes: int = 0


@dataclass(frozen=True)
class UserInfo:
    """An entry of passwd, with the names of all groups that the account belongs to."""

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
    """A unit's state in the words of `systemctl show`; a missing unit's `load` is `not-found`."""

    name: str
    load: str = "not-found"
    active: str = "inactive"
    sub: str = "dead"
    enabled: str = ""
    main_pid: int = 0
    restarts: int = 0

    @property
    def is_active(self) -> bool:
        return self.active in ("active", "reloading")

    @property
    def is_enabled(self) -> bool:
        return self.enabled in ("enabled", "static", "linked", "alias")


@dataclass(frozen=True)
class Result:
    """Exit code and output of a finished command; undecodable bytes are replaced."""

    code: int
    out: str = ""
    err: str = ""

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass(frozen=True)
class Response:
    """An HTTP response; with `status` 0 there was none, and `text` is the reason.

    `data` is the body as it was sent, `text` what the headers make of it.
    """

    status: int
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes = b""


class BackgroundCommand(Protocol):
    """A command that runs in the background."""

    def wait(self, on_line: Callable[[str], None] | None = None) -> Result:
        """Wait until the command has ended; return its result.

        `on_line` is called with each line of output, also with earlier ones. Raises TljhError when
        the deadline passes, which also ends the command.
        """

    def stop(self) -> bool:
        """Kill the command unless `wait` was called before; return whether it was killed."""


class HostReader(Protocol):
    """Read access to the machine."""

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        """Return kind, mode and owner of a path, or None. `follow` resolves a symbolic link."""

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        """Return the content of a regular file; None if missing or over `most_bytes`."""

    def readlink(self, path: Path) -> str | None: ...
    def listdir(self, path: Path) -> list[str]:
        """Return sorted names; empty if there is no such directory."""

    def user(self, name: str) -> UserInfo | None: ...
    def all_users(self) -> list[UserInfo]:
        """Return every entry of passwd, without `groups`: they are slow to collect."""

    def group(self, name: str) -> GroupInfo | None: ...
    def groups_sharing(self, path: Path) -> frozenset[str] | None:
        """Return the groups that an ACL gives full access to a directory; None without ACLs.

        A group that has no name any more is returned as its number.
        """
        ...

    def disk_quota(self, path: Path, uid: int) -> DiskQuota | None:
        """Return a user's quota on the file system of `path`; None if it enforces none."""

    def unit(self, name: str) -> UnitInfo: ...
    def units(self, pattern: str) -> list[UnitInfo]: ...
    def package(self, name: str) -> str | None:
        """Return the version of an installed Debian package; None if it is not."""

    def query(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Result:
        """Run a command that only reads. Raises TljhError when `timeout_s` passes."""

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
    def download(self, url: str, *, timeout_s: float, most_bytes: int) -> bytes:
        """Return the content of a URL, redirects followed.

        Raises TljhError without an answer of status 200, past `timeout_s`, over `most_bytes`.
        """
        ...

    def peer_certificate(
        self, address: str, port: int, name: str | None, *, timeout_s: float = 5
    ) -> bytes | None:
        """Return the certificate (DER) that a TLS server shows for the host name `name`, if any."""

    def addresses_of(self, name: str) -> list[str]:
        """Return the IP addresses of a host name; empty if it does not resolve."""

    def journal(self, unit: str, lines: int = 20) -> str:
        """Return the last lines of a unit's log."""

    def monotonic_s(self) -> float: ...
    def pause(self, seconds: float) -> None:
        """Sleep, between two checks of a condition that the caller awaits."""


class Host(HostReader, Protocol):
    """Read and write access to the machine. An effect is on disk when its method returns."""

    def write(
        self,
        path: Path,
        data: bytes,
        *,
        mode: int,
        owner: str = "root",
        group: str = "root",
    ) -> None:
        """Replace a file atomically: temporary file, fsync, rename, fsync of the directory."""

    def append(self, path: Path, data: bytes) -> None:
        """Append to a file and fsync it; a missing file is created with mode 0600."""

    def symlink(self, path: Path, target: str) -> None:
        """Point a link at `target`; an existing link or file is replaced atomically."""

    def mkdir(self, path: Path, *, mode: int, owner: str = "root", group: str = "root") -> None: ...
    def chmod(self, path: Path, *, mode: int, owner: str, group: str) -> None: ...
    def make_home(self, path: Path, *, owner: str, group: str, skeleton: Path) -> None:
        """Make a home directory with a copy of `skeleton`; it appears complete, with mode 0700.

        Users may change the skeleton meanwhile: no link in it is followed. Raises OSError.
        """

    def flatten(self, path: Path) -> None:
        """Move directories that are too deep for other programs up to the top of a tree."""

    def rename(self, path: Path, to: Path) -> None: ...
    def remove(self, path: Path) -> None:
        """Remove a file, a link or a whole tree; do nothing if it is missing."""

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

        `on_line` is called with each line of standard output as it comes.
        """

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> BackgroundCommand:
        """Start a command with effects in the background."""

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
        uid: int | None = None,
    ) -> None:
        """Add an account, without making its home."""

    def set_home(self, name: str, home: Path) -> None:
        """Change the home in an account's entry. Raises TljhError while processes of it run."""

    def remove_user(self, name: str) -> None:
        """Remove an account, but not its home."""

    def lock_user(self, name: str) -> None:
        """Refuse every login by password, key or otherwise; running processes stay."""

    def unlock_user(self, name: str) -> None: ...
    def add_to_group(self, user: str, group: str) -> None: ...
    def remove_from_group(self, user: str, group: str) -> None: ...
    def share_tree(self, path: Path, group: str | None, *, revoked: frozenset[str]) -> None:
        """Give a group access to everything in `path`; take it from the groups in `revoked`.

        Without `group` only the access of `revoked` ends. No path in the tree is followed: users
        may change it meanwhile. Raises OSError where the file system has no ACLs.
        """

    def set_disk_quota(self, path: Path, uid: int, limit_bytes: int | None) -> None:
        """Limit a user on the file system of `path`. Raises OSError if it has no quotas."""

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result: ...
    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        """Hold a lock file during the block. A child process does not inherit the lock.

        The kernel ends it with this process, also after SIGKILL. Raises TljhError with exit code 4
        if another process holds it until the deadline.
        """
        yield
