"""The machine that this process runs on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.host.fsync import flush
from tljh.host.interface import (
    FileInfo,
    FileKind,
    GroupInfo,
    Response,
    Result,
    Running,
    UnitInfo,
    UserInfo,
)
from tljh.host.quota import DiskQuota, read_quota, write_quota
from tljh.host.systemctl_output import properties_of_one, properties_shown

_ORDINARY_NAME = re.compile(r"[a-z_][a-z0-9._-]*")

# Also a link that leads in a circle, and a socket.
_NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


_UNIT_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts,NeedDaemonReload"
)


def _owner_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _uid(name: str) -> int:
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _gid(name: str) -> int:
    return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid


class RealReader:
    """Implements `HostReader` on this machine."""

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        try:
            found = path.stat() if follow else path.lstat()
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                return None
            raise
        kind: FileKind = "other"
        if stat.S_ISREG(found.st_mode):
            kind = "file"
        elif stat.S_ISDIR(found.st_mode):
            kind = "directory"
        elif stat.S_ISLNK(found.st_mode):
            kind = "symlink"
        return FileInfo(
            kind,
            stat.S_IMODE(found.st_mode),
            _owner_name(found.st_uid),
            _group_name(found.st_gid),
            found.st_size,
        )

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        try:
            # Without waiting for whoever would write into a FIFO.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno in _NOTHING_THERE:
                return None
            raise
        try:
            found = os.fstat(descriptor)
            is_too_large = most_bytes is not None and found.st_size > most_bytes
            if not stat.S_ISREG(found.st_mode) or is_too_large:
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                return stream.read()
        finally:
            os.close(descriptor)

    def readlink(self, path: Path) -> str | None:
        try:
            return str(path.readlink())
        except OSError:
            return None

    def listdir(self, path: Path) -> list[str]:
        try:
            return sorted(entry.name for entry in path.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def user(self, name: str) -> UserInfo | None:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        groups = frozenset(
            [_group_name(entry.pw_gid)] + [g.gr_name for g in grp.getgrall() if name in g.gr_mem]
        )
        return UserInfo(
            entry.pw_name,
            entry.pw_uid,
            entry.pw_gid,
            entry.pw_dir,
            entry.pw_shell,
            entry.pw_gecos,
            groups,
        )

    def all_users(self) -> list[UserInfo]:
        return [
            UserInfo(e.pw_name, e.pw_uid, e.pw_gid, e.pw_dir, e.pw_shell, e.pw_gecos)
            for e in pwd.getpwall()
        ]

    def group(self, name: str) -> GroupInfo | None:
        try:
            entry = grp.getgrnam(name)
        except KeyError:
            return None
        return GroupInfo(entry.gr_name, entry.gr_gid, tuple(entry.gr_mem))

    def disk_quota(self, path: Path, uid: int) -> DiskQuota | None:
        return read_quota(path, uid)

    def unit(self, name: str) -> UnitInfo:
        shown = self.query(["systemctl", "show", "-p", _UNIT_PROPERTIES, name])
        return _unit_info(name, properties_of_one(shown.out))

    def units(self, pattern: str) -> list[UnitInfo]:
        shown = self.query(["systemctl", "show", "-p", _UNIT_PROPERTIES, pattern])
        return [_unit_info("", found) for found in properties_shown(shown.out)]

    def package(self, name: str) -> str | None:
        answer = self.query(["dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name])
        state, _, version = answer.out.partition(" ")
        return version if answer.ok and state == "installed" else None

    def query(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = 30,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Result:
        try:
            done = subprocess.run(
                list(argv),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                env={**os.environ, **env} if env else None,
                # A directory of somebody else may hold what a program takes for its own.
                cwd="/",
                check=False,
            )
        except FileNotFoundError:
            return Result(127, "", f"{argv[0]}: command not found")
        except subprocess.TimeoutExpired as error:
            raise TljhError(
                f"{argv[0]} did not finish within {timeout_s:g} s",
                why=" ".join(argv),
                fix="look at what it waits for, then run the command again",
            ) from error
        return Result(done.returncode, done.stdout, done.stderr)

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
        import requests
        import urllib3

        if not verify:
            # On purpose: our own port before its certificate is trusted, or a look at headers.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        with requests.Session() as session:
            # A machine's HTTP_PROXY must not come between us and our own loopback.
            session.trust_env = "127.0.0.1" not in url and "localhost" not in url
            try:
                answer = session.request(
                    method,
                    url,
                    timeout=timeout_s,
                    headers=dict(headers or {}),
                    data=body,
                    verify=verify,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                return Response(0, _why_no_answer(error, timeout_s))
            return Response(answer.status_code, answer.text, dict(answer.headers))

    def peer_certificate(
        self, address: str, port: int, name: str | None, *, timeout_s: float = 5
    ) -> bytes | None:
        import ssl

        # Compared with the one that shall be served; whether it is trusted is no question here.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with (
                socket.create_connection((address, port), timeout=timeout_s) as plain,
                context.wrap_socket(plain, server_hostname=name) as secure,
            ):
                return secure.getpeercert(binary_form=True)
        except OSError:
            return None

    def addresses_of(self, name: str) -> list[str]:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def journal(self, unit: str, lines: int = 20) -> str:
        shown = self.query(
            ["journalctl", "-u", unit, "-n", str(lines), "--no-pager", "-o", "cat", "-q"]
        )
        return shown.out.strip()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


def _unit_info(name: str, shown: Mapping[str, str]) -> UnitInfo:
    return UnitInfo(
        shown.get("Id", name),
        shown.get("LoadState", "not-found"),
        shown.get("ActiveState", "inactive"),
        shown.get("SubState", "dead"),
        shown.get("UnitFileState", ""),
        int(shown.get("MainPID", "0")),
        int(shown.get("NRestarts", "0") or 0),
        shown.get("NeedDaemonReload") == "yes",
    )


def _why_no_answer(error: BaseException, timeout_s: float) -> str:
    """The cause at the bottom, such as 'Connection refused', without the layers around it."""
    if "Timeout" in type(error).__name__:
        return f"no answer within {timeout_s:g} s"
    text, cause = f"{type(error).__name__}: {error}", error.__context__
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            text = cause.strerror
        cause = cause.__context__
    return text


class RealHost(RealReader):
    """Implements `Host` on this machine."""

    def write(
        self,
        path: Path,
        data: bytes,
        *,
        mode: int,
        owner: str = "root",
        group: str = "root",
    ) -> None:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                os.fchown(descriptor, _uid(owner), _gid(group))
                os.fchmod(descriptor, mode)
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        flush(path.parent)

    def append(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        length = os.fstat(descriptor).st_size
        try:
            # A disk that is nearly full takes a part and says no error.
            left = memoryview(data)
            while left:
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        except OSError:
            # Half a line would swallow the next one that is appended.
            os.ftruncate(descriptor, length)
            raise
        finally:
            os.close(descriptor)

    def symlink(self, path: Path, target: str) -> None:
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
        flush(path.parent)

    def mkdir(self, path: Path, *, mode: int, owner: str = "root", group: str = "root") -> None:
        path.mkdir(exist_ok=True)
        self.chmod(path, mode=mode, owner=owner, group=group)
        flush(path.parent)

    def chmod(self, path: Path, *, mode: int, owner: str, group: str) -> None:
        os.chown(path, _uid(owner), _gid(group), follow_symlinks=False)
        path.chmod(mode)

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)
        flush(to.parent)

    def remove(self, path: Path) -> None:
        found = self.info(path)
        if found is None:
            return
        if found.kind == "directory":
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        flush(path.parent)

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Result:
        if on_line is None:
            return self.query(argv, timeout_s=timeout_s, env=env, stdin=stdin)
        return self.start(argv, timeout_s=timeout_s, env=env, stdin=stdin).wait(on_line)

    def start(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        stdin: str | None = None,
    ) -> Running:
        from tljh.host.background_command import RunningCommand

        return RunningCommand(argv, timeout_s, env, stdin)

    def _must(self, *argv: str, timeout_s: float = 60) -> None:
        done = self.run(argv, timeout_s=timeout_s)
        if not done.ok:
            raise TljhError(
                f"{argv[0]} failed with exit code {done.code}",
                why=(done.err or done.out).strip() or " ".join(argv),
            )

    def add_group(self, name: str, *, system: bool = False) -> None:
        self._must("groupadd", *(["--system"] if system else []), "--", name)

    def remove_group(self, name: str) -> None:
        if self.group(name):
            self._must("groupdel", "--", name)

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
    ) -> None:
        self._must(
            "useradd",
            "--home-dir",
            str(home),
            "--shell",
            shell,
            "--comment",
            comment,
            "--create-home" if create_home else "--no-create-home",
            *(["--system"] if system else []),
            *(["--skel", str(skeleton)] if skeleton and create_home else []),
            # Debian 12 takes names such as a@b.org as they are, Debian 13 only when told to.
            *([] if _ORDINARY_NAME.fullmatch(name) else ["--badname"]),
            "--",
            name,
        )

    def lock_user(self, name: str) -> None:
        # Locking alone spares keys: sshd refuses an account that has expired.
        self._must("usermod", "--lock", "--expiredate", "1", "--", name)

    def unlock_user(self, name: str) -> None:
        self._must("usermod", "--expiredate", "", "--", name)
        if (self.read(Path("/etc/shadow")) or b"").find(f"\n{name}:!$".encode()) >= 0:
            self._must("usermod", "--unlock", "--", name)

    def remove_user(self, name: str) -> None:
        if self.user(name):
            self._must("userdel", "--", name)

    def add_to_group(self, user: str, group: str) -> None:
        self._must("gpasswd", "--add", user, group)

    def remove_from_group(self, user: str, group: str) -> None:
        found = self.group(group)
        if found and user in found.members:
            self._must("gpasswd", "--delete", user, group)

    def set_disk_quota(self, path: Path, uid: int, limit_bytes: int | None) -> None:
        write_quota(path, uid, limit_bytes)

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result:
        return self.run(["systemctl", "--no-ask-password", verb, *units], timeout_s=timeout_s)

    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        # Python's descriptors are not inheritable, so the lock dies with this very process.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        deadline_s = self.monotonic_s() + timeout_s
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if self.monotonic_s() >= deadline_s:
                        holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
                        raise TljhError(
                            "another tljh command is at work on this machine",
                            why=f"{holder or 'somebody'} holds {path}",
                            fix="wait until it is done, then run this again",
                            exit_code=Exit.LOCKED,
                        ) from None
                    self.pause(0.1)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()}".encode(), 0)
            yield
        finally:
            with contextlib.suppress(OSError):
                os.close(descriptor)
