"""The progress page: shown on the HTTP port until the hub behind Traefik is sound.

Two processes, so that the one that talks to strangers has no rights. The server (`nobody`)
answers; the keeper (root) hands the port over:

1. As soon as there is the user that Traefik runs as, the keeper gives it the listening socket.
   The kernel lets sockets share a port (SO_REUSEPORT) only if their owners are the same.
2. From then on, a program on that group of sockets sends what comes from this machine itself to
   the newer socket, where there is one, and everybody else to the older, the page. So the
   installation can check Traefik and the hub behind it, while visitors still see the page.
3. When the installation has ended well, everybody is sent to the newer socket; what had arrived
   for the page is answered by the page, and then its socket goes.

So no visitor is refused, and none sees the 404 of a Traefik that has no routes yet.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import socket
import struct
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

from tljh.base.tcp_sockets import listening_sockets

PROXY_USER = "traefik"
EVENTS_PATH = "/.tljh-progress"
_NOBODY = 65534
_SO_ATTACH_REUSEPORT_CBPF = 51
# Classic BPF, <linux/bpf_common.h>, and SKF_NET_OFF of <linux/filter.h>.
_BPF_RETURN = 0x06
_BPF_LOAD_WORD = 0x20
_BPF_LOAD_BYTE = 0x30
_BPF_COPY_TO_X = 0x07
_BPF_SHIFT_RIGHT = 0x74
_BPF_JUMP_IF_EQUAL = 0x15
_BPF_JUMP_IF_EQUAL_X = 0x1D
_NETWORK_HEADER = -0x100000
OLDER, NEWER = 0, 1
_POLL_S = 0.02
_HANDSHAKES_S = 0.3
_FAREWELL_S = 1.0
_END_DEADLINE_S = 5.0
_MOST_EVENTS = 2000
_CONNECTION_TIMEOUT_S = 10


def _socket(family: int) -> socket.socket:
    """A socket that may share its port, as Traefik's supervisor opens them too.

    SO_REUSEADDR as well: connections of another owner would else be in the way.
    """
    new = socket.socket(family, socket.SOCK_STREAM)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if family == socket.AF_INET6:
        new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return new


def listen(port: int) -> socket.socket:
    """A listening socket for all addresses, with which another one may share its port.

    Raises OSError when the port cannot be had.
    """
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


def may_share(listening: socket.socket, uid: int) -> bool:
    """Give the socket to `uid`; whether that user's sockets may now share its port."""
    try:
        os.fchown(listening.fileno(), uid, -1)
        with _socket(listening.family) as trial:
            os.fchown(trial.fileno(), uid, -1)
            trial.bind(listening.getsockname()[:2])
        return True
    except OSError:
        return False


def _instruction(code: int, value: int = 0, if_true: int = 0, if_false: int = 0) -> bytes:
    """One struct sock_filter of classic BPF."""
    return struct.pack("HBBI", code, if_true, if_false, value & 0xFFFFFFFF)


def _same_word(offset: int, other: int, if_differs: int) -> bytes:
    """Compare two words of the IP header; where they differ, skip `if_differs` instructions."""
    return (
        _instruction(_BPF_LOAD_WORD, _NETWORK_HEADER + offset)
        + _instruction(_BPF_COPY_TO_X)
        + _instruction(_BPF_LOAD_WORD, _NETWORK_HEADER + other)
        + _instruction(_BPF_JUMP_IF_EQUAL_X, 0, 0, if_differs)
    )


def program_local_to_newer() -> bytes:
    """From an address to itself: the newer socket, 1; everybody else: the older, 0."""
    older, newer = _instruction(_BPF_RETURN, OLDER), _instruction(_BPF_RETURN, NEWER)
    # Sender and receiver stand at 12 and 16 in an IPv4 header, at 8 and 24 in one of IPv6.
    version_4 = _same_word(12, 16, 1) + newer + older
    pairs = [(8 + 4 * word, 24 + 4 * word) for word in range(4)]
    version_6 = b"".join(
        _same_word(sender, receiver, 4 * (3 - number) + 1)
        for number, (sender, receiver) in enumerate(pairs)
    )
    return (
        _instruction(_BPF_LOAD_BYTE, _NETWORK_HEADER)
        + _instruction(_BPF_SHIFT_RIGHT, 4)
        + _instruction(_BPF_JUMP_IF_EQUAL, 4, 0, len(version_4) // 8)
        + version_4
        + version_6
        + newer
        + older
    )


def steer(listening: socket.socket, program: bytes) -> None:
    """Let `program` choose the socket of the group for every new connection.

    A choice that is not there (the newer of one) falls back to any that is.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, head)


class Events:
    """The events so far, read from the file that they are appended to."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._offset = 0
        self._rest = b""
        self.all: list[dict[str, object]] = []

    def read(self) -> list[dict[str, object]]:
        """The events that are new since the last call."""
        data = os.pread(self._descriptor, 1 << 20, self._offset)
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        new = []
        for line in lines:
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    new.append(event)
        self.all += new
        return new


def _handler(html: str, events: Events) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version = "tljh"
        sys_version = ""
        timeout = _CONNECTION_TIMEOUT_S

        def do_GET(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            if url.path == EVENTS_PATH:
                asked = urllib.parse.parse_qs(url.query).get("from", ["0"])[0]
                self._answer_events(int(asked) if asked.isdecimal() else 0)
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
    # A visitor who goes away is no event of the installation.
    with connection, contextlib.suppress(OSError, ValueError):
        connection.settimeout(_CONNECTION_TIMEOUT_S)
        handler(connection, connection.getpeername(), None)  # type: ignore[arg-type]
        connection.shutdown(socket.SHUT_WR)


def serve(listening: socket.socket, html: str, events: Events, stop: int) -> None:
    """Answer until `stop` is readable and everything that had arrived is answered."""
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
        if len(threads) >= 64:
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
    """The user that Traefik runs as, once the installation has made it."""
    try:
        return pwd.getpwnam(PROXY_USER).pw_uid
    except KeyError:
        return None


def _is_over(timeout_s: float) -> bool:
    """Wait for the SIGTERM (blocked, so that it waits for us) that ends the page."""
    return signal.sigtimedwait([signal.SIGTERM], timeout_s) is not None


def keep(listening: socket.socket, stop: int) -> None:
    """Give the port to Traefik's user as soon as there is one; to Traefik when all is over.

    Closing `stop` tells the server to end.
    """
    port = listening.getsockname()[1]
    uid, is_over = None, False
    while uid is None and not is_over:
        is_over = _is_over(_POLL_S)
        uid = proxy_uid()
    if uid is not None and may_share(listening, uid):
        while not is_over:
            # Again and again: Traefik's supervisor, which believes to be alone there, sends
            # everybody to the first socket when it begins to listen.
            with contextlib.suppress(OSError):
                steer(listening, program_local_to_newer())
            is_over = _is_over(_POLL_S)
        if len(listening_sockets([port])) > 1:
            with contextlib.suppress(OSError):
                steer(listening, _instruction(_BPF_RETURN, NEWER))
            # Handshakes that are half done belong to the socket that they began at.
            time.sleep(_HANDSHAKES_S)
    # Otherwise the port must be free before Traefik asks for it: a gap, but no failure.
    listening.close()
    os.close(stop)


def _die_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)


def _run_processes(listening: socket.socket, html: str, events_file: int) -> None:
    """In the keeper's process: start the server, then keep."""
    reading, writing = os.pipe()
    keeper = os.getpid()
    server = os.fork()
    if server == 0:
        try:
            os.close(writing)
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(_NOBODY, _NOBODY, _NOBODY)
                os.setresuid(_NOBODY, _NOBODY, _NOBODY)
            # After the change of user, which would take it away.
            _die_with(keeper)
            serve(listening, html, Events(events_file), reading)
        finally:
            os._exit(0)
    os.close(reading)
    keep(listening, writing)
    os.waitpid(server, 0)


@contextmanager
def progress_page(port: int, html: str, directory: Path) -> Iterator[Path]:
    """Show the page on `port` while the block runs; then hand the port to the proxy.

    Events are read from events.jsonl in `directory`, whoever appends to it.
    """
    events_path = directory / "events.jsonl"
    descriptor = os.open(events_path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    listening = listen(port)
    parent = os.getpid()
    keeper = os.fork()
    if keeper == 0:
        try:
            # Ctrl-C is for the installation; the page shows what comes of it.
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _die_with(parent)
            _run_processes(listening, html, descriptor)
        finally:
            os._exit(0)
    listening.close()
    os.close(descriptor)
    try:
        yield events_path
    finally:
        _end(keeper)


def _end(keeper: int) -> None:
    """Let visitors see the last step, hand the port over, and see to it that it is gone."""
    time.sleep(_FAREWELL_S)
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(keeper, signal.SIGTERM)
        until = time.monotonic() + _END_DEADLINE_S
        while time.monotonic() < until:
            if os.waitpid(keeper, os.WNOHANG)[0]:
                return
            time.sleep(_POLL_S)
        os.kill(keeper, signal.SIGKILL)
        os.waitpid(keeper, 0)
