"""The lock of all installers, and waiting for other package managers."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tljh.base.apt_packages import APT_PACKAGES
from tljh.base.errors import Exit, TljhError
from tljh_installer.processes import run_in_background, run_logged
from tljh_installer.steps import Steps

RUN_LOCK = Path("/run/tljh-bootstrap.lock")
DPKG_LOCKS = (Path("/var/lib/dpkg/lock-frontend"), Path("/var/lib/dpkg/lock"))
DPKG_UPDATES = Path("/var/lib/dpkg/updates")
DPKG_DEADLINE_S = 900.0
# Enough for a mirror of usable speed. If it is not, the later step downloads without this limit.
FETCH_TIMEOUT_S = 200
_POLL_S = 1.0


@contextmanager
def run_lock(path: Path = RUN_LOCK) -> Iterator[None]:
    """Hold the lock of all installers. Raises TljhError with exit code 4 if another run has it.

    The file is removed with the lock, so that a refused machine stays as it was.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise TljhError(
                "another installer is running" + (f" (process {holder})" if holder else ""),
                fix="wait until it has ended, then run this again",
                exit_code=Exit.LOCKED,
            ) from None
        # Another run may have removed the file between our open and our lock. A lock on a removed
        # file excludes no other run, so take it only if the path still leads to this file.
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def record_lock_holder(path: Path) -> int | None:
    """Return the process that holds a POSIX record lock on `path`, as dpkg and apt use them."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # struct flock: type, whence, start, length, pid (with the padding of 64-bit Linux)
        layout = "hhqqi4x"
        request = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(
            layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, request)[: struct.calcsize(layout)]
        )
        return None if kind == fcntl.F_UNLCK else pid
    finally:
        os.close(descriptor)


def _name_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    return f"process {pid}"


def wait_for_dpkg(
    steps: Steps,
    *,
    locks: tuple[Path, ...] = DPKG_LOCKS,
    deadline_s: float = DPKG_DEADLINE_S,
    poll_s: float = _POLL_S,
) -> None:
    """Wait until no other package manager runs: new machines update themselves at first boot."""
    end_s = time.monotonic() + deadline_s
    is_reported = False
    while True:
        holders = [pid for pid in map(record_lock_holder, locks) if pid]
        if not holders:
            return
        name = _name_of(holders[0])
        if time.monotonic() > end_s:
            raise TljhError(
                f"{name} has been using the package manager for {deadline_s / 60:.0f} minutes",
                fix="wait until it has ended, or stop it, then run this again",
            )
        if not is_reported:
            steps.say(f"waiting for {name}, which uses the package manager")
            is_reported = True
        time.sleep(poll_s)


def dpkg_was_interrupted(updates: Path = DPKG_UPDATES) -> bool:
    """Return whether dpkg was interrupted: apt refuses to work then."""
    with contextlib.suppress(OSError):
        return any(entry.name.isdecimal() for entry in updates.iterdir())
    return False


@contextmanager
def downloading_packages(steps: Steps, environ: Mapping[str, str]) -> Iterator[None]:
    """Let apt download lists and packages during the block: a third of its step's time.

    Only apt's caches change. The step that installs the packages repeats and reports a failure.
    """
    # apt-get may wait for ever (see tljh/host/apt.py), so both commands have a deadline. Without
    # --foreground, `timeout` would move apt-get to another process group, which the SIGTERM of
    # `run_in_background` does not reach.
    download = (
        "timeout --foreground 60 apt-get -q update; exec timeout --foreground 120 apt-get -qy "
        f"--no-install-recommends --download-only install {' '.join(APT_PACKAGES)}"
    )
    environ = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["sh", "-c", download]
    with run_in_background(steps, command, environ=environ, timeout_s=FETCH_TIMEOUT_S):
        yield


def prepare_dpkg(steps: Steps, environ: Mapping[str, str]) -> None:
    """Wait for other package managers, and finish what an interrupted dpkg left."""
    wait_for_dpkg(steps)
    audit = run_logged(steps, ["dpkg", "--audit"], environ=environ, timeout_s=60)
    if not dpkg_was_interrupted() and not audit.stdout.strip():
        return
    with steps.step("finish an interrupted dpkg"):
        result = run_logged(
            steps,
            ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
            environ={**environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout_s=900,
        )
        if result.code != 0:
            raise TljhError(
                "Debian packages are half installed, and dpkg cannot finish them",
                why="\n".join(result.output.splitlines()[-5:]),
                fix="run sudo dpkg --configure -a and fix what it reports, then run this again",
            )
