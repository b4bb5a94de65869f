"""Implementation of the host interface in memory, for tests and for plugin authors.

It keeps files, accounts, packages and units, and records its effects. `die_before` makes it die
before a given effect: tests of an apply kill it once before every effect.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.host.interface import FileInfo, GroupInfo, Response, Result, UnitInfo, UserInfo
from tljh.host.quota import DiskQuota


class Killed(BaseException):
    """A simulated SIGKILL; the code under test must not catch it."""


@dataclass
class FakeRunning:
    """A `BackgroundCommand` command that has already ended."""

    result: Result
    was_waited_for: bool = False

    def wait(self, on_line: Callable[[str], None] | None = None) -> Result:
        self.was_waited_for = True
        if on_line is not None:
            for line in self.result.out.splitlines():
                on_line(line)
        return self.result

    def stop(self) -> bool:
        return not self.was_waited_for


# The directories of a fresh machine in which tljh creates something.
_PARENTS = (
    Paths().prefix,
    Paths().traefik_dir,
    Paths().units_dir / "unit",
    Paths().commands_dir / "command",
    Paths.completions_dir / "command",
    Paths.sudoers,
    Paths.apt_hook,
    Paths.profile,
    Paths.lock,
    Paths.backups,
)
_DIRECTORIES = sorted({directory for path in _PARENTS for directory in path.parents})


@dataclass
class FakeHost:
    """A `Host` in memory.

    `answers` maps the start of a command line to its result; other commands succeed with no
    output. `responses` maps a URL to its response; without one, the connection is refused.
    `answer_takes_s` maps a URL to the seconds that its response takes.
    """

    files: dict[Path, tuple[FileInfo, bytes | str]] = field(default_factory=dict)
    accounts: dict[str, UserInfo] = field(default_factory=dict)
    group_entries: dict[str, GroupInfo] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    unit_states: dict[str, UnitInfo] = field(default_factory=dict)
    answers: dict[str, Result | Callable[[Sequence[str]], Result]] = field(default_factory=dict)
    responses: dict[str, Response | Callable[[], Response]] = field(default_factory=dict)
    answer_takes_s: dict[str, float] = field(default_factory=dict)
    # Maps a requested server name to the certificate (DER) that is served for it.
    served: Callable[[str | None], bytes | None] | None = None
    # Maps host names to their IP addresses.
    resolved: dict[str, list[str]] = field(default_factory=dict)
    # The number of effects after which the next one raises `Killed`, or once a full disk's error.
    die_before: int | None = None
    fail_before: int | None = None
    effects: list[str] = field(default_factory=list)
    locks: set[Path] = field(default_factory=set)
    expired: set[str] = field(default_factory=set)
    clock_s: float = 0.0
    # By folder, the groups that share it.
    shares: dict[Path, frozenset[str]] = field(default_factory=dict)
    refuses_acls: bool = False
    # For answers that are functions: what the program that is asked gets on standard input.
    stdin_of_query: str | None = None
    # By user id; if empty, the file systems have no quotas.
    disk_quotas: dict[int, DiskQuota] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for path in _DIRECTORIES:
            self.files.setdefault(path, (FileInfo("directory", 0o755, "root", "root"), b""))

    def _record_effect(self, what: str) -> None:
        if self.die_before is not None and len(self.effects) >= self.die_before:
            raise Killed(what)
        if self.fail_before is not None and len(self.effects) == self.fail_before:
            self.fail_before = None
            raise OSError(28, f"No space left on device: {what}")
        self.effects.append(what)

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        if path not in self.files:
            return None
        info, content = self.files[path]
        if follow and info.kind == "symlink":
            return self.info(path.parent / str(content), follow=True)
        return info

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        if path not in self.files:
            return None
        info, content = self.files[path]
        if info.kind == "symlink":
            return self.read(path.parent / str(content), most_bytes=most_bytes)
        if not isinstance(content, bytes) or info.kind != "file":
            return None
        return None if most_bytes is not None and len(content) > most_bytes else content

    def readlink(self, path: Path) -> str | None:
        if path not in self.files:
            return None
        info, content = self.files[path]
        return str(content) if info.kind == "symlink" else None

    def listdir(self, path: Path) -> list[str]:
        return sorted(other.name for other in self.files if other.parent == path and other != path)

    def user(self, name: str) -> UserInfo | None:
        account = self.accounts.get(name)
        if account is None:
            return None
        groups = frozenset(
            [name] + [g.name for g in self.group_entries.values() if name in g.members]
        )
        return replace(account, groups=groups)

    def groups_sharing(self, path: Path) -> frozenset[str] | None:
        return self.shares.get(path)

    def disk_quota(self, path: Path, uid: int) -> DiskQuota | None:
        return self.disk_quotas.get(uid, DiskQuota(0)) if self.disk_quotas else None

    def share_tree(self, path: Path, group: str | None, *, revoked: frozenset[str]) -> None:
        self._record_effect(f"share {path}")
        if self.refuses_acls:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        self.shares[path] = self.shares.get(path, frozenset()) - revoked | (
            {group} if group else set()
        )

    def set_disk_quota(self, path: Path, uid: int, limit_bytes: int | None) -> None:
        self._record_effect(f"quota {uid} {limit_bytes}")
        self.disk_quotas[uid] = replace(self.disk_quotas[uid], limit_bytes=limit_bytes)

    def all_users(self) -> list[UserInfo]:
        return list(self.accounts.values())

    def group(self, name: str) -> GroupInfo | None:
        return self.group_entries.get(name)

    def unit(self, name: str) -> UnitInfo:
        has_file = Paths().units_dir / name in self.files
        state = self.unit_states.get(name, UnitInfo(name))
        if has_file or state.is_active:
            return replace(state, load="loaded")
        # systemd finds a unit without a file enabled in no way, whatever links to it.
        return replace(state, load="not-found", enabled="")

    def units(self, pattern: str) -> list[UnitInfo]:
        return [unit for name, unit in self.unit_states.items() if Path(name).match(pattern)]

    def package(self, name: str) -> str | None:
        return self.packages.get(name)

    def query(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Result:
        line = " ".join(argv)
        self.stdin_of_query = stdin
        for start, answer in self.answers.items():
            if line.startswith(start):
                return answer if isinstance(answer, Result) else answer(argv)
        return Result(0)

    def http(
        self,
        method: str,
        url: str,
        *,
        timeout_s: float = 5,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        verify: bool = True,
    ) -> Response:
        takes_s = self.answer_takes_s.get(url, 0)
        self.clock_s += min(takes_s, timeout_s)
        if takes_s > timeout_s:
            return Response(0, "ReadTimeout: Read timed out.")
        answer = self.responses.get(url, Response(0, "ConnectionError: refused"))
        return answer if isinstance(answer, Response) else answer()

    def download(self, url: str, *, timeout_s: float, most_bytes: int) -> bytes:
        response = self.http("GET", url, timeout_s=timeout_s)
        if response.status != 200:
            raise TljhError(f"{url} cannot be downloaded", why=response.text)
        return response.text.encode()

    def peer_certificate(
        self, address: str, port: int, name: str | None, *, timeout_s: float = 5
    ) -> bytes | None:
        return self.served(name) if self.served else None

    def addresses_of(self, name: str) -> list[str]:
        return self.resolved.get(name, [])

    def journal(self, unit: str, lines: int = 20) -> str:
        return f"last lines of {unit}"

    def monotonic_s(self) -> float:
        return self.clock_s

    def pause(self, seconds: float) -> None:
        self.clock_s += seconds

    def _store(self, path: Path, info: FileInfo, content: bytes | str) -> None:
        parent = self.files.get(path.parent)
        if parent is None or parent[0].kind != "directory":
            raise FileNotFoundError(2, "No such file or directory", str(path))
        self.files[path] = (info, content)

    def write(
        self,
        path: Path,
        data: bytes,
        *,
        mode: int,
        owner: str = "root",
        group: str = "root",
    ) -> None:
        self._record_effect(f"write {path}")
        self._store(path, FileInfo("file", mode, owner, group, len(data)), data)

    def append(self, path: Path, data: bytes) -> None:
        self._record_effect(f"append {path}")
        old = self.read(path) or b""
        info = self.info(path) or FileInfo("file", 0o600, "root", "root")
        self._store(path, replace(info, size_bytes=len(old + data)), old + data)

    def symlink(self, path: Path, target: str) -> None:
        self._record_effect(f"symlink {path}")
        self._store(path, FileInfo("symlink", 0o777, "root", "root"), target)

    def mkdir(self, path: Path, *, mode: int, owner: str = "root", group: str = "root") -> None:
        self._record_effect(f"mkdir {path}")
        self._store(path, FileInfo("directory", mode, owner, group), b"")

    def chmod(self, path: Path, *, mode: int, owner: str, group: str) -> None:
        self._record_effect(f"chmod {path}")
        info, content = self.files[path]
        self.files[path] = (replace(info, mode=mode, owner=owner, group=group), content)

    def make_home(self, path: Path, *, owner: str, group: str, skeleton: Path) -> None:
        self._record_effect(f"make home {path} from {skeleton}")
        self._store(path, FileInfo("directory", 0o700, owner, group), b"")

    def flatten(self, path: Path) -> None:
        self._record_effect(f"flatten {path}")

    def rename(self, path: Path, to: Path) -> None:
        self._record_effect(f"rename {path}")
        for old in [other for other in self.files if other == path or path in other.parents]:
            self.files[to / old.relative_to(path)] = self.files.pop(old)

    def remove(self, path: Path) -> None:
        if path not in self.files:
            return
        self._record_effect(f"remove {path}")
        for old in [other for other in self.files if other == path or path in other.parents]:
            del self.files[old]

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        self._record_effect("run " + " ".join(argv))
        if list(argv[:1]) == ["apt-get"] and "install" in argv and "--download-only" not in argv:
            for name in argv[list(argv).index("install") + 1 :]:
                self.packages[name] = "1"
        return self.query(argv, timeout_s=timeout_s, env=env, stdin=stdin)

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> FakeRunning:
        return FakeRunning(self.run(argv, timeout_s=timeout_s, env=env, stdin=stdin))

    def add_group(self, name: str, *, system: bool = False) -> None:
        self._record_effect(f"add group {name}")
        self.group_entries[name] = GroupInfo(name, 900 + len(self.group_entries))

    def remove_group(self, name: str) -> None:
        self._record_effect(f"remove group {name}")
        self.group_entries.pop(name, None)

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
        self._record_effect(f"add user {name}")
        number = 1000 + len(self.accounts) if uid is None else uid
        self.accounts[name] = UserInfo(name, number, number, str(home), shell, comment)
        self.group_entries[name] = GroupInfo(name, number)

    def set_home(self, name: str, home: Path) -> None:
        self._record_effect(f"set home {name}")
        self.accounts[name] = replace(self.accounts[name], home=str(home))

    def remove_user(self, name: str) -> None:
        self._record_effect(f"remove user {name}")
        self.accounts.pop(name, None)
        self.group_entries.pop(name, None)

    def lock_user(self, name: str) -> None:
        self._record_effect(f"lock user {name}")
        self.expired.add(name)
        self._write_shadow()

    def unlock_user(self, name: str) -> None:
        self._record_effect(f"unlock user {name}")
        self.expired.discard(name)
        self._write_shadow()

    def _write_shadow(self) -> None:
        lines = (
            f"{name}:!:20000:0:99999:7::{'1' if name in self.expired else ''}:\n"
            for name in self.accounts
        )
        data = "".join(lines).encode()
        self.files[Path("/etc/shadow")] = (FileInfo("file", 0o640, "root", "shadow"), data)

    def add_to_group(self, user: str, group: str) -> None:
        self._record_effect(f"add {user} to {group}")
        old = self.group_entries[group]
        self.group_entries[group] = replace(old, members=(*old.members, user))

    def remove_from_group(self, user: str, group: str) -> None:
        if group not in self.group_entries or user not in self.group_entries[group].members:
            return
        self._record_effect(f"remove {user} from {group}")
        old = self.group_entries[group]
        self.group_entries[group] = replace(
            old, members=tuple(name for name in old.members if name != user)
        )

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result:
        self._record_effect(f"systemctl {verb} {' '.join(units)}".strip())
        for name in units:
            old = self.unit_states.get(name, UnitInfo(name))
            if verb == "disable" and self.unit(name).load == "not-found":
                return Result(1, "", f"Failed to disable unit: Unit {name} does not exist")
            changes: dict[str, dict[str, str]] = {
                "enable": {"enabled": "enabled"},
                "disable": {"enabled": "disabled"},
                "start": {"active": "active"},
                "restart": {"active": "active"},
                "stop": {"active": "inactive"},
            }
            self.unit_states[name] = replace(old, **changes.get(verb, {}))  # type: ignore[arg-type]
        return self.query(["systemctl", verb, *units])

    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        if path in self.locks:
            raise TljhError("another tljh command is at work", exit_code=Exit.LOCKED)
        self.locks.add(path)
        try:
            yield
        finally:
            self.locks.discard(path)
