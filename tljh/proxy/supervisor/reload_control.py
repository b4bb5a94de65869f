"""The control socket, by which a client asks for a reload and gets its outcome."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

CONTROL_SOCKET = "control.sock"


class ReloadControl:
    """The supervisor's end of the socket: every connection is a request for a reload.

    A request that comes during a reload waits for the next one, because that reload may have read
    the files before the client wrote them.
    """

    def __init__(self, runtime: Path) -> None:
        path = runtime / CONTROL_SOCKET
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._next: list[socket.socket] = []
        self._current: list[socket.socket] = []

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> None:
        connection, _ = self._listener.accept()
        self._next.append(connection)

    def begin(self) -> None:
        """Begin a reload on behalf of all clients that have connected so far."""
        self._current, self._next = self._next, []

    def answer(self, ok: bool, message: str) -> None:
        """Send the outcome of the current reload to its clients."""
        for connection in self._current:
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps({"ok": ok, "message": message}).encode())
            connection.close()
        self._current = []


def ask_reload(runtime: Path, timeout_s: float) -> tuple[bool, str]:
    """Make the running supervisor reload. Return whether that succeeded, and its message."""
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(runtime / CONTROL_SOCKET))
            while chunk := connection.recv(65536):
                answer += chunk
    except TimeoutError:
        return False, f"the reload had no outcome within {timeout_s:g} s"
    except OSError as problem:
        return False, f"cannot reach the supervisor: {problem.strerror or problem}"
    if not answer:
        return False, "the supervisor ended before it could answer"
    outcome = json.loads(answer)
    return bool(outcome["ok"]), str(outcome["message"])
