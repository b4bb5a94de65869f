"""How a reload is asked of the supervisor, and its outcome told. Standard library only."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

CONTROL_SOCKET = "control.sock"


class Control:
    """The supervisor's side: whoever connects asks for a reload and is sent its outcome.

    A question that comes while a reload is under way belongs to the next one, because its
    files may have been written after the first one read them.
    """

    def __init__(self, runtime: Path) -> None:
        path = runtime / CONTROL_SOCKET
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._asked: list[socket.socket] = []
        self._answering: list[socket.socket] = []

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> None:
        connection, _ = self._listener.accept()
        self._asked.append(connection)

    def begin(self) -> None:
        """A reload begins: its outcome goes to all who have asked so far."""
        self._answering, self._asked = self._asked, []

    def answer(self, ok: bool, message: str) -> None:
        for connection in self._answering:
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps({"ok": ok, "message": message}).encode())
            connection.close()
        self._answering = []


def ask_reload(runtime: Path, timeout_s: float) -> tuple[bool, str]:
    """Have the running supervisor reload, and wait for the outcome and the reason for it."""
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
        return False, f"the supervisor cannot be asked: {problem.strerror or problem}"
    if not answer:
        return False, "the supervisor ended before it could answer"
    told = json.loads(answer)
    return bool(told["ok"]), str(told["message"])
