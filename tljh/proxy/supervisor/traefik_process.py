"""One Traefik process, started with sockets that are already open. Standard library only."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from collections import deque
from pathlib import Path

from tljh.proxy.supervisor.interface import READY_ENTRY_POINT
from tljh.proxy.supervisor.sockets import Listener

# The first descriptor that socket activation passes; 0 to 2 are the standard streams.
FIRST_FD = 3


READY_REQUEST = b"GET /ping HTTP/1.1\r\nHost: ready\r\nConnection: close\r\n\r\n"


# With these, Traefik would report its own readiness to systemd in place of the supervisor's.
NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "MAINPID")


READY_TIMEOUT_S = 0.3


LAST_LINES = 40


# How a line of the access log begins (tljh/proxy/traefik_static.py). Requests do not explain why
# Traefik ended, and a busy hub has so many that they would push out the lines that do.
ACCESS_LOG_LINE = '{"ClientAddr"'


class TraefikInstance:
    """One start of Traefik: its sockets, its command line, and its process while it runs.

    Phases: `starting` (a candidate), `serving` (gets new connections), `leaving` (new connections
    go to its successor; it accepts those that were queued), `draining` (its sockets are closed; it
    finishes open requests and web sockets).
    """

    def __init__(
        self,
        number: int,
        argv: list[str],
        listeners: dict[str, Listener],
        ready: Listener,
        *,
        relays: bool = True,
        static_file: Path | None = None,
    ) -> None:
        self.number = number
        self.argv = argv
        self.listeners = listeners
        self.ready = ready
        self.relays = relays
        self.static_file = static_file
        self.phase = "starting"
        self.phase_since = time.monotonic()
        self.pid: int | None = None
        self.started_at = 0.0
        self.is_ready = False
        self.restart_at: float | None = None
        self.ending_since: float | None = None
        self.output: int | None = None
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.phase_since = time.monotonic()

    def seconds_in_phase(self) -> float:
        return time.monotonic() - self.phase_since

    def start(self) -> None:
        """Fork and exec Traefik, passing the sockets as systemd's socket activation does."""
        sockets = {name: listener.sock for name, listener in self.listeners.items()}
        sockets[READY_ENTRY_POINT] = self.ready.sock
        if self.output is not None:
            os.close(self.output)
        self.output, writing = os.pipe()
        os.set_blocking(self.output, False)
        self.started_at = time.monotonic()
        self.is_ready = False
        self.restart_at = None
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _exec_traefik(self.argv, sockets, writing)
            finally:
                os._exit(127)
        os.close(writing)

    def answers(self) -> bool:
        """Return whether Traefik has its routes; before, it answers every request with 404."""
        with (
            contextlib.suppress(OSError),
            socket.create_connection(
                ("127.0.0.1", self.ready.port), timeout=READY_TIMEOUT_S
            ) as connection,
        ):
            connection.sendall(READY_REQUEST)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
        return False

    def relay(self) -> None:
        """Copy Traefik's output to our own, and keep the last lines for `reason`."""
        if self.output is None:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.output, 65536):
                if self.relays:
                    with contextlib.suppress(OSError):
                        os.write(2, chunk)
                self.last_lines.extend(
                    line
                    for line in chunk.decode(errors="replace").splitlines()
                    if not line.startswith(ACCESS_LOG_LINE)
                )
            os.close(self.output)
            self.output = None

    def reason(self) -> str:
        """Return Traefik's last error line, or else its last lines."""
        errors = [line for line in self.last_lines if "ERR" in line or '"error"' in line]
        return (
            errors[-1] if errors else "\n".join(list(self.last_lines)[-10:]) or "it wrote nothing"
        )

    def end(self) -> None:
        """Make Traefik stop listening; it ends after its last request and web socket."""
        self.ending_since = time.monotonic()
        self.restart_at = None
        self.kill(signal.SIGTERM)

    def discard(self) -> None:
        """Close the socket of its readiness, and remove its copy of the static file."""
        self.ready.close()
        if self.static_file is not None:
            self.static_file.unlink(missing_ok=True)

    def seconds_ending(self) -> float:
        return 0.0 if self.ending_since is None else time.monotonic() - self.ending_since

    def kill(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


def _exec_traefik(argv: list[str], sockets: dict[str, socket.socket], output: int) -> None:
    """Turn a forked child into Traefik. Runs between fork and exec; never returns."""
    # The descriptors 3, 4, … may be in use by sockets that come later in the list. So all sockets
    # are first copied to descriptors above these.
    spare = FIRST_FD + len(sockets) + 1
    copies = [fcntl.fcntl(sock.fileno(), fcntl.F_DUPFD_CLOEXEC, spare) for sock in sockets.values()]
    os.dup2(output, 1)
    os.dup2(output, 2)
    for offset, fd in enumerate(copies):
        os.dup2(fd, FIRST_FD + offset, inheritable=True)
    # Python ignores this signal, and an ignored signal stays ignored after exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    environment = {
        name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN
    }
    environment["LISTEN_PID"] = str(os.getpid())
    environment["LISTEN_FDS"] = str(len(sockets))
    environment["LISTEN_FDNAMES"] = ":".join(sockets)
    try:
        os.execve(argv[0], argv, environment)
    except OSError as problem:
        os.write(2, f"cannot run {argv[0]}: {problem.strerror}\n".encode())
