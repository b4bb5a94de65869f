"""Progress page: shown on the HTTP port from the start of an installation until Traefik listens.

Two processes: the server, which visitors talk to, runs as `nobody`; the installation's own process
keeps the rights that the handover of the port needs. `_hand_over` describes the handover.

Between the page's end and the hub's start, requests are refused or get Traefik's 404. The page that
a visitor has open survives that: its script polls, and moves on once the hub answers.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import socket
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Lock, Thread

from tljh.base.tcp_sockets import find_listening_sockets

PROXY_USER = "traefik"
EVENTS_PATH = "/.tljh-progress"
_NOBODY = 65534
_POLL_S = 0.05
# The page's script polls every 0.7 s; this is enough to show the last step.
_FAREWELL_S = 1.0
_END_DEADLINE_S = 5.0
_MOST_EVENTS = 2000
_MOST_CONNECTIONS = 64
_CONNECTION_TIMEOUT_S = 10


def _socket(family: int) -> socket.socket:
    """Return a socket with the options of those of Traefik's supervisor, so that they can share."""
    new = socket.socket(family, socket.SOCK_STREAM)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return new


def listen(port: int) -> socket.socket:
    """Return a listening socket for all addresses. Raises OSError if the port is not free."""
    try:
        new, address = _socket(socket.AF_INET6), "::"
    except OSError:
        new, address = _socket(socket.AF_INET), "0.0.0.0"
    try:
        new.bind((address, port))
        new.listen(128)
    except BaseException:
        new.close()
        raise
    return new


class Events:
    """The events so far, read from the file that the installation appends them to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0
        self._rest = b""
        self._lock = Lock()
        self.all: list[dict[str, object]] = []

    def read(self) -> None:
        """Add the new events to `all`; skip lines that are not a JSON object."""
        # Two requests at the same time must not add the same event twice.
        with self._lock:
            data = os.pread(self._descriptor, 1 << 20, self._offset)
            self._offset += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    event = json.loads(line)
                    if isinstance(event, dict):
                        self.all.append(event)


def _handler(html: str, events: Events) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "tljh"
        sys_version = ""
        timeout = _CONNECTION_TIMEOUT_S

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            if url.path == EVENTS_PATH:
                start = urllib.parse.parse_qs(url.query).get("from", ["0"])[0]
                self._answer_events(int(start) if start.isdecimal() else 0)
            elif url.path in ("/", "/index.html"):
                self._answer(200, "text/html; charset=utf-8", html.encode())
            else:
                self._answer(503, "text/html; charset=utf-8", html.encode())

        do_HEAD = do_GET

        def _answer_events(self, start: int) -> None:
            events.read()
            end = len(events.all)
            start = max(start if start <= end else 0, end - _MOST_EVENTS)
            body = json.dumps({"events": events.all[start:end], "next": end})
            self._answer(200, "application/json", body.encode())

        def _answer(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header(
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                "connect-src 'self'; img-src data:; frame-ancestors 'none'",
            )
            if code == 503:
                self.send_header("Retry-After", "5")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler


def _serve_one(handler: type[BaseHTTPRequestHandler], connection: socket.socket) -> None:
    # A visitor's closed connection or malformed request is not an error of the installation.
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(_CONNECTION_TIMEOUT_S)
        handler(connection, connection.getpeername(), None)  # type: ignore[arg-type]
        connection.shutdown(socket.SHUT_WR)


def serve(listening: socket.socket, html: str, events: Events, stop: int) -> None:
    """Serve the page `html` and its `events` on a listening socket.

    Returns when the other end of the pipe `stop` is closed, and every connection that arrived
    before is answered.
    """
    handler = _handler(html, events)
    listening.setblocking(False)
    threads: list[Thread] = []
    while True:
        ready, _, _ = select.select([listening.fileno(), stop], [], [])
        try:
            connection, _ = listening.accept()
        except BlockingIOError:
            if stop in ready:
                break
            continue
        except OSError:
            continue
        threads = [thread for thread in threads if thread.is_alive()]
        if len(threads) >= _MOST_CONNECTIONS:
            connection.close()
            continue
        connection.setblocking(True)
        thread = Thread(target=_serve_one, args=(handler, connection), daemon=True)
        thread.start()
        threads.append(thread)
    listening.close()
    for thread in threads:
        thread.join(1)


def proxy_uid() -> int | None:
    """Return the user id of Traefik's account, once the installation has created it."""
    try:
        return pwd.getpwnam(PROXY_USER).pw_uid
    except KeyError:
        return None


def _hand_over(listening: socket.socket, stop: int, is_over: Event) -> None:
    """Close the page when Traefik listens on its port, too, or when the installation is over.

    Closing the descriptor `stop` ends the server.
    """
    port = listening.getsockname()[1]
    is_shared = False
    # After any error the page ends, too: Traefik must get the port.
    with contextlib.suppress(OSError):
        while not is_over.wait(_POLL_S):
            if not is_shared and (uid := proxy_uid()) is not None:
                # SO_REUSEPORT works among sockets of one user only. So Traefik could not listen
                # while the page does, unless the page's socket belongs to Traefik's user.
                os.fchown(listening.fileno(), uid, -1)
                is_shared = True
            # Until both copies of the page's socket are closed, it gets the new connections:
            # Traefik's supervisor sends them to the first socket of the port.
            if is_shared and len(find_listening_sockets([port])) > 1:
                break
    listening.close()
    os.close(stop)


def _serve_as_nobody(listening: socket.socket, html: str, events_file: int, stop: int) -> None:
    # Signals are for the installation; the page shows the result until its pipe is closed.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    serve(listening, html, Events(events_file), stop)


@contextmanager
def progress_page(port: int, html: str, directory: Path) -> Iterator[Path]:
    """Show the page on `port` during the block, until the proxy listens there, too.

    Yields the file that events are read from; the caller appends to it.
    """
    events_path = directory / "events.jsonl"
    events_file = os.open(events_path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    listening = listen(port)
    # The server stops when the writing end is closed: by `_hand_over`, or by the kernel when this
    # process is killed.
    reading, writing = os.pipe()
    server = os.fork()
    if server == 0:
        try:
            os.close(writing)
            _serve_as_nobody(listening, html, events_file, reading)
        finally:
            os._exit(0)
    os.close(reading)
    os.close(events_file)
    is_over = Event()
    handover = Thread(target=_hand_over, args=(listening, writing, is_over), daemon=True)
    handover.start()
    try:
        yield events_path
    finally:
        try:
            if handover.is_alive():
                time.sleep(_FAREWELL_S)
        finally:
            is_over.set()
            handover.join()
            _wait_for_end(server)


def _wait_for_end(server: int) -> None:
    deadline_s = time.monotonic() + _END_DEADLINE_S
    while time.monotonic() < deadline_s:
        if os.waitpid(server, os.WNOHANG)[0]:
            return
        time.sleep(_POLL_S)
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
