"""One installer at a time, and patience with other package managers."""

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
from tljh_installer.processes import beside, run_logged
from tljh_installer.steps import Steps

RUN_LOCK = Path("/run/tljh-bootstrap.lock")
DPKG_LOCKS = (Path("/var/lib/dpkg/lock-frontend"), Path("/var/lib/dpkg/lock"))
DPKG_UPDATES = Path("/var/lib/dpkg/updates")
DPKG_DEADLINE_S = 900.0
# Longer takes no mirror of use; the step itself has the time that it needs.
FETCH_TIMEOUT_S = 200
_POLL_S = 1.0


@contextmanager
def run_lock(path: Path = RUN_LOCK) -> Iterator[None]:
    """Hold the lock of all installers; exit code 4 where somebody else has it.

    The file goes when the lock does, so that a refused machine is left as it was. Taking a
    lock on a file that was just removed holds nobody off, hence the second look at the path.
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
    """Which process holds a POSIX record lock on `path`, as dpkg and apt use them."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        # struct flock: type, whence, start, length, pid (with the padding of 64-bit Linux)
        layout = "hhqqi4x"
        asked = struct.pack(layout, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(
            layout, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked)[: struct.calcsize(layout)]
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
    """Wait until no other package manager runs: new machines update themselves at first."""
    end = time.monotonic() + deadline_s
    told = False
    while True:
        holders = [pid for pid in map(record_lock_holder, locks) if pid]
        if not holders:
            return
        name = _name_of(holders[0])
        if time.monotonic() > end:
            raise TljhError(
                f"{name} has been using the package manager for {deadline_s / 60:.0f} minutes",
                fix="wait until it has ended, or stop it, then run this again",
            )
        if not told:
            steps.say(f"waiting for {name} to be done with the package manager")
            told = True
        time.sleep(poll_s)


def dpkg_was_interrupted(updates: Path = DPKG_UPDATES) -> bool:
    """Whether dpkg left off half-way, so that apt would refuse to work."""
    with contextlib.suppress(OSError):
        return any(entry.name.isdecimal() for entry in updates.iterdir())
    return False


@contextmanager
def packages_fetched(steps: Steps, environ: Mapping[str, str]) -> Iterator[None]:
    """Have apt fetch lists and packages meanwhile: on a fresh machine a third of its step.

    Only apt's own caches change. What fails here is tried again, and told, when its turn comes.
    """
    # apt-get may wait for ever (tljh/host/apt.py); in the foreground, so that a signal to the
    # group reaches all of them.
    fetch = (
        "timeout --foreground 60 apt-get -q update; exec timeout --foreground 120 apt-get -qy "
        f"--no-install-recommends --download-only install {' '.join(APT_PACKAGES)}"
    )
    environ = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
    with beside(steps, ["sh", "-c", fetch], environ=environ, timeout_s=FETCH_TIMEOUT_S):
        yield


def prepare_dpkg(steps: Steps, environ: Mapping[str, str]) -> None:
    """Wait for dpkg; finish what it left off."""
    wait_for_dpkg(steps)
    audit = run_logged(steps, ["dpkg", "--audit"], environ=environ, timeout_s=60)
    if not dpkg_was_interrupted() and not audit.stdout.strip():
        return
    with steps.step("finish an interrupted dpkg"):
        ended = run_logged(
            steps,
            ["dpkg", "--configure", "-a", "--force-confdef", "--force-confold"],
            environ={**environ, "DEBIAN_FRONTEND": "noninteractive"},
            timeout_s=900,
        )
        if ended.code != 0:
            raise TljhError(
                "packages of the system are half installed, and dpkg cannot finish them",
                why="\n".join(ended.output.splitlines()[-5:]),
                fix="sudo dpkg --configure -a, and mend what it says; then run this again",
            )
