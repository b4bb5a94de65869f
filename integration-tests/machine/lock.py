"""One machine at a time, where two would disturb each other.

The lock is held while a process owns a machine. A machine that outlives its process
(`up`, `try`) is seen by its label instead. Locks are waited for, with a deadline.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine.engine import CannotBoot, say

DEFAULT = Path(tempfile.gettempdir()) / "machine.lock"
# Longer than any single test keeps its machine; a forgotten machine still gets a message.
PATIENCE_S = float(os.environ.get("TLJH_MACHINE_PATIENCE_S", "1200"))


class MachineLock:
    """An flock that says whom it waits for."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or Path(os.environ.get("TLJH_MACHINE_LOCK", DEFAULT))
        self._fd: int | None = None

    def acquire(self, blocker: Callable[[], str | None], patience_s: float = PATIENCE_S) -> None:
        """Take the lock and wait until `blocker` names no machine any more."""
        self._fd = open_lock(self.path)
        deadline = time.monotonic() + patience_s
        told = False
        while True:
            who = None if self._try() else f"another process that holds {self.path}"
            who = who or blocker()
            if who is None:
                break
            if not told:
                say(f"waiting for {who}: only one machine at a time works on this computer")
                told = True
            if time.monotonic() > deadline:
                self.release()
                raise CannotBoot(f"waited {patience_s:.0f} s for {who}")
            time.sleep(0.5)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        assert self._fd is not None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def open_lock(path: Path) -> int:
    """Open the lock file, never through somebody's symlink."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        return os.open(path, flags | os.O_CREAT, 0o666)
