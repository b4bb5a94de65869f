"""Implementation of the host interface on the machine that this process runs on."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Exit, TljhError
from tljh.base.interruptions import are_held_back
from tljh.base.paths import get_paths
from tljh.host.command_environment import build_command_environment
from tljh.host.fsync import flush
from tljh.host.hub_identity import find_hub_identity
from tljh.host.interface import (
    BackgroundCommand,
    FileInfo,
    FileKind,
    GroupInfo,
    Response,
    Result,
    UnitInfo,
    UserInfo,
)
from tljh.host.systemctl_output import parse_unit, parse_units
from tljh.host.trusted_path import get_proc_path, open_trusted_directory, open_trusted_path

if TYPE_CHECKING:
    from tljh.host.quota import DiskQuota

# subprocess, socket, quota (ctypes) and others are imported where they are used: `tljh-config set`
# needs none of them, and they take as long as its own work.

_ORDINARY_NAME = re.compile(r"[a-z_][a-z0-9._-]*")

# ELOOP: a link that leads in a circle. ENXIO: opening a socket.
_MISSING_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)


_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


_UNIT_PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,MainPID,NRestarts"


def _find_owner_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _find_gid(name: str) -> int | None:
    """Return the id of a group, by its name or by its number as text; None if unknown."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return int(name) if name.isdigit() else None


def _find_group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _require_uid(name: str) -> int:
    return int(name) if name.isdigit() else pwd.getpwnam(name).pw_uid


def _require_gid(name: str) -> int:
    return int(name) if name.isdigit() else grp.getgrnam(name).gr_gid


class RealReader:
    """Implements `HostReader` on this machine."""

    def info(self, path: Path, *, follow: bool = False) -> FileInfo | None:
        try:
            status = path.stat() if follow else path.lstat()
        except OSError as error:
            if error.errno in _MISSING_ERRNOS:
                return None
            raise
        kind: FileKind = "other"
        if stat.S_ISREG(status.st_mode):
            kind = "file"
        elif stat.S_ISDIR(status.st_mode):
            kind = "directory"
        elif stat.S_ISLNK(status.st_mode):
            kind = "symlink"
        return FileInfo(
            kind,
            stat.S_IMODE(status.st_mode),
            _find_owner_name(status.st_uid),
            _find_group_name(status.st_gid),
            status.st_size,
        )

    def read(self, path: Path, *, most_bytes: int | None = None) -> bytes | None:
        try:
            # O_NONBLOCK: opening a FIFO would wait for a writer. O_NOCTTY: a terminal must not
            # become this process's own.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError as error:
            if error.errno in _MISSING_ERRNOS:
                return None
            raise
        try:
            # Of the open file, not of the path: that may be another file by now.
            status = os.fstat(descriptor)
            is_too_large = most_bytes is not None and status.st_size > most_bytes
            if not stat.S_ISREG(status.st_mode) or is_too_large:
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
            [_find_group_name(entry.pw_gid)]
            + [g.gr_name for g in grp.getgrall() if name in g.gr_mem]
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

    def groups_sharing(self, path: Path) -> frozenset[str] | None:
        from tljh.host.shared_tree import find_groups_with_access

        try:
            gids = find_groups_with_access(path)
        except OSError:
            return None
        return None if gids is None else frozenset(map(_find_group_name, gids))

    def disk_quota(self, path: Path, uid: int) -> DiskQuota | None:
        from tljh.host.quota import read_quota

        return read_quota(path, uid)

    def unit(self, name: str) -> UnitInfo:
        output = self.query(["systemctl", "show", "-p", _UNIT_PROPERTIES, name]).out
        return _parse_unit_info(name, parse_unit(output))

    def units(self, pattern: str) -> list[UnitInfo]:
        output = self.query(["systemctl", "show", "-p", _UNIT_PROPERTIES, pattern]).out
        return [_parse_unit_info("", properties) for properties in parse_units(output)]

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
        import subprocess

        try:
            result = subprocess.run(
                list(argv),
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                env=build_command_environment(env),
                # Programs read files of the current directory (Python: modules), which another
                # user may have written.
                cwd="/",
                # Ctrl-C in a terminal reaches all programs of its session: it must not end one
                # that a rollback has started.
                start_new_session=are_held_back(),
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
        return Result(result.returncode, result.stdout, result.stderr)

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

        identity = find_hub_identity(url, get_paths())
        if identity is not None:
            url = url.replace("http:", "https:", 1)
        elif not verify:
            # Deliberate: our own port before its certificate is trusted, or a check of headers.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        with requests.Session() as session:
            # The machine's HTTP_PROXY must not get requests to our own loopback.
            session.trust_env = "127.0.0.1" not in url and "localhost" not in url
            try:
                answer = session.request(
                    method,
                    url,
                    timeout=timeout_s,
                    headers=dict(headers or {}),
                    data=body,
                    verify=verify if identity is None else str(identity.authority),
                    cert=identity.files if identity is not None else None,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                return Response(0, _explain_no_answer(error, timeout_s))
            return Response(answer.status_code, answer.text, dict(answer.headers), answer.content)

    def download(self, url: str, *, timeout_s: float, most_bytes: int) -> bytes:
        import time

        import requests

        end_s = time.monotonic() + timeout_s
        data = bytearray()
        try:
            with requests.get(url, timeout=timeout_s, stream=True) as answer:
                if answer.status_code != 200:
                    raise TljhError(
                        f"{url} cannot be downloaded",
                        why=f"it answered with status {answer.status_code}",
                    )
                for chunk in answer.iter_content(1 << 16):
                    data += chunk
                    if len(data) > most_bytes:
                        raise TljhError(f"{url} has more than {most_bytes >> 20} MB")
                    if time.monotonic() > end_s:
                        raise TljhError(f"{url} did not arrive within {timeout_s:g} s")
        except requests.RequestException as error:
            reason = _explain_no_answer(error, timeout_s)
            raise TljhError(f"{url} cannot be downloaded", why=reason) from error
        return bytes(data)

    def peer_certificate(
        self, address: str, port: int, name: str | None, *, timeout_s: float = 5
    ) -> bytes | None:
        import socket
        import ssl

        # The caller compares the certificate with the expected one; trust is not checked here.
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
        import socket

        try:
            entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except OSError:
            return []
        return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

    def journal(self, unit: str, lines: int = 20) -> str:
        log = self.query(
            ["journalctl", "-u", unit, "-n", str(lines), "--no-pager", "-o", "cat", "-q"]
        )
        return log.out.strip()

    def monotonic_s(self) -> float:
        return time.monotonic()

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)


def _parse_unit_info(name: str, properties: Mapping[str, str]) -> UnitInfo:
    return UnitInfo(
        properties.get("Id", name),
        properties.get("LoadState", "not-found"),
        properties.get("ActiveState", "inactive"),
        properties.get("SubState", "dead"),
        properties.get("UnitFileState", ""),
        int(properties.get("MainPID", "0")),
        int(properties.get("NRestarts", "0") or 0),
    )


def _explain_no_answer(error: BaseException, timeout_s: float) -> str:
    """Return why an HTTP request failed, such as 'Connection refused'.

    The libraries wrap the cause in several exceptions; the innermost one counts.
    """
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
        temporary = f".{path.name}.{os.urandom(4).hex()}"
        with open_trusted_directory(path.parent) as directory:
            descriptor = os.open(temporary, _NEW_FILE, 0o600, dir_fd=directory)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    os.fchown(descriptor, _require_uid(owner), _require_gid(group))
                    os.fchmod(descriptor, mode)
                    stream.write(data)
                    stream.flush()
                    os.fsync(descriptor)
                # Only after the fsync: otherwise a power failure may leave an empty file at `path`.
                os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)
                raise
            # The rename itself is on disk once the directory is.
            os.fsync(directory)

    def append(self, path: Path, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        length = os.fstat(descriptor).st_size
        try:
            # A nearly full disk accepts a part without an error; the next write then fails.
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(descriptor, remaining) :]
            os.fsync(descriptor)
        except OSError:
            # The next appended line would continue an incomplete one, and both were lost.
            os.ftruncate(descriptor, length)
            raise
        finally:
            os.close(descriptor)

    def symlink(self, path: Path, target: str) -> None:
        temporary = f".{path.name}.{os.getpid()}"
        with open_trusted_directory(path.parent) as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            os.symlink(target, temporary, dir_fd=directory)
            os.rename(temporary, path.name, src_dir_fd=directory, dst_dir_fd=directory)
            os.fsync(directory)

    def mkdir(self, path: Path, *, mode: int, owner: str = "root", group: str = "root") -> None:
        with open_trusted_directory(path.parent) as directory:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path.name, 0o700, dir_fd=directory)
            self.chmod(path, mode=mode, owner=owner, group=group)
            os.fsync(directory)

    def chmod(self, path: Path, *, mode: int, owner: str, group: str) -> None:
        with open_trusted_path(path) as opened:
            # By descriptor: the path may lead elsewhere by now. chown resets setuid and setgid.
            os.chown(get_proc_path(opened), _require_uid(owner), _require_gid(group))
            Path(get_proc_path(opened)).chmod(mode)

    def make_home(self, path: Path, *, owner: str, group: str, skeleton: Path) -> None:
        from tljh.host.user_trees import make_home

        make_home(path, _require_uid(owner), _require_gid(group), skeleton)

    def flatten(self, path: Path) -> None:
        from tljh.host.user_trees import flatten

        flatten(path)

    def rename(self, path: Path, to: Path) -> None:
        path.rename(to)
        flush(to.parent)

    def remove(self, path: Path) -> None:
        info = self.info(path)
        if info is None:
            return
        if info.kind == "directory":
            from tljh.host.user_trees import remove_tree

            remove_tree(path)
        else:
            with (
                open_trusted_directory(path.parent) as directory,
                contextlib.suppress(FileNotFoundError),
            ):
                os.unlink(path.name, dir_fd=directory)
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
    ) -> BackgroundCommand:
        from tljh.host.background_command import RunningCommand

        return RunningCommand(argv, timeout_s, env, stdin)

    def _run_or_raise(self, *argv: str, timeout_s: float = 60) -> None:
        result = self.run(argv, timeout_s=timeout_s)
        if not result.ok:
            raise TljhError(
                f"{argv[0]} failed with exit code {result.code}",
                why=(result.err or result.out).strip() or " ".join(argv),
            )

    def add_group(self, name: str, *, system: bool = False) -> None:
        self._run_or_raise("groupadd", *(["--system"] if system else []), "--", name)

    def remove_group(self, name: str) -> None:
        if self.group(name):
            self._run_or_raise("groupdel", "--", name)

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
        self._run_or_raise(
            "useradd",
            *(["--uid", str(uid)] if uid is not None else []),
            "--home-dir",
            str(home),
            "--shell",
            shell,
            "--comment",
            comment,
            "--no-create-home",
            *(["--system"] if system else []),
            # Debian 12 accepts names such as a@b.org, Debian 13 only with this option.
            *([] if _ORDINARY_NAME.fullmatch(name) else ["--badname"]),
            "--",
            name,
        )

    def set_home(self, name: str, home: Path) -> None:
        self._run_or_raise("usermod", "--home", str(home), "--", name)

    def lock_user(self, name: str) -> None:
        # --lock disables the password only. sshd accepts keys until the account has expired.
        self._run_or_raise("usermod", "--lock", "--expiredate", "1", "--", name)

    def unlock_user(self, name: str) -> None:
        self._run_or_raise("usermod", "--expiredate", "", "--", name)
        # `!$` is a locked hash. usermod fails on an account that is locked and has no password,
        # so such an account stays as it is.
        if (self.read(Path("/etc/shadow")) or b"").find(f"\n{name}:!$".encode()) >= 0:
            self._run_or_raise("usermod", "--unlock", "--", name)

    def remove_user(self, name: str) -> None:
        if self.user(name):
            self._run_or_raise("userdel", "--", name)

    def add_to_group(self, user: str, group: str) -> None:
        self._run_or_raise("gpasswd", "--add", user, group)

    def remove_from_group(self, user: str, group: str) -> None:
        info = self.group(group)
        if info and user in info.members:
            self._run_or_raise("gpasswd", "--delete", user, group)

    def share_tree(self, path: Path, group: str | None, *, revoked: frozenset[str]) -> None:
        from tljh.host.shared_tree import share_tree

        gids = {_find_gid(name) for name in revoked}
        gid = None if group is None else _find_gid(group)
        share_tree(path, gid, frozenset(each for each in gids if each is not None))

    def set_disk_quota(self, path: Path, uid: int, limit_bytes: int | None) -> None:
        from tljh.host.quota import write_quota

        write_quota(path, uid, limit_bytes)

    def systemctl(self, verb: str, *units: str, timeout_s: float = 90) -> Result:
        return self.run(["systemctl", "--no-ask-password", verb, *units], timeout_s=timeout_s)

    @contextmanager
    def lock(self, path: Path, *, timeout_s: float) -> Iterator[None]:
        # Python opens descriptors with O_CLOEXEC. So no child process inherits the lock, and it
        # ends with this process.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        # Who can read a file can hold its lock, so one that was there before is closed, too.
        with contextlib.suppress(PermissionError):
            os.fchmod(descriptor, 0o600)
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
                            why=f"{holder or 'another process'} holds {path}",
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
