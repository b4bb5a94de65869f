"""The progress page: what it serves, how it gives its port to the proxy, and its script."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import playwright
import pytest
from tljh_installer import page
from tljh_installer.release import page_html

HTML = page_html(None)
DEADLINE_S = 30
PROXY_UID = 34
PROXY = """
import ctypes, os, socket, struct, sys, time
port, uid = int(sys.argv[1]), int(sys.argv[2])
os.setuid(uid)
new = socket.socket(socket.AF_INET6)
new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
while True:
    try:
        new.bind(("::", port))
        break
    except OSError:
        time.sleep(0.02)  # the page has not yet given its socket to this user
new.listen(512)
# As Traefik's supervisor does for the only socket it knows: all connections to the first socket.
program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
new.setsockopt(socket.SOL_SOCKET, 51, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))
time.sleep(0.3)  # a real proxy accepts some time after it has begun to listen
while True:
    connection, _ = new.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n")
    connection.sendall(b"Connection: close\\r\\n\\r\\nproxy")
    connection.close()
"""
# Runs the page's script with a stub of the document. It prints the texts that the page shows and
# where it moves to. Time passes faster than on the clock.
BROWSER = """
const [script, origin, speed] = process.argv.slice(1);
const elements = new Map();
const element = () => ({ append() {}, replaceChildren() {}, textContent: "" });
globalThis.document = {
  createElement: element,
  getElementById: (id) => elements.get(id) ?? elements.set(id, element()).get(id),
};
const [realFetch, realTimeout, realNow] = [fetch, setTimeout, Date.now];
globalThis.fetch = (path, options) => realFetch(origin + path, options);
globalThis.setTimeout = (callback, ms) => realTimeout(callback, ms / speed);
globalThis.setInterval = () => {};
Date.now = () => realNow() * speed;
globalThis.location = { replace(path) { console.log("moves to " + path); process.exit(0); } };
const printed = {};
(function print() {
  for (const id of ["log", "lead"]) {
    const text = elements.get(id)?.textContent;
    if (text && text !== printed[id]) console.log(printed[id] = text);
  }
  realTimeout(print, 5);
})();
(0, eval)(script);
"""
NODE = Path(playwright.__file__).parent / "driver" / "node"


def wait_until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def get(port: int, path: str, source: str = "127.0.0.1") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(
        "127.0.0.1", port, timeout=10, source_address=(source, 0)
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path]]:
    """Show a page, without a user of the proxy; return its port and its file of events."""
    monkeypatch.setattr(page, "_FAREWELL_S", 0.0)
    user = tmp_path / "proxy-uid"
    monkeypatch.setattr(
        page, "proxy_uid", lambda: int(user.read_text() or 0) if user.exists() else None
    )
    port = free_port()
    with page.progress_page(port, HTML, tmp_path) as events:
        yield port, events


def test_the_page_is_served_and_other_addresses_say_not_yet(progress: tuple[int, Path]) -> None:
    port, _ = progress
    assert get(port, "/index.html") == (200, HTML.encode())
    assert get(port, "/")[0] == 200
    assert get(port, "/hub/login")[0] == 503


def test_events_are_served_from_where_the_browser_left_off(progress: tuple[int, Path]) -> None:
    port, events = progress
    with events.open("a") as file:
        file.write('{"event": "log", "line": "one"}\nnot json\n{"event": "log", "line": "two"}\n')
        file.write('{"event": "log", "li')
    first = json.loads(get(port, "/.tljh-progress?from=0")[1])
    assert [event["line"] for event in first["events"]] == ["one", "two"]
    with events.open("a") as file:
        file.write('ne": "three"}\n')
    second = json.loads(get(port, f"/.tljh-progress?from={first['next']}")[1])
    assert [event["line"] for event in second["events"]] == ["three"]
    assert json.loads(get(port, "/.tljh-progress?from=junk")[1])["next"] == 3


def test_nothing_of_the_machines_files_is_served(progress: tuple[int, Path]) -> None:
    port, _ = progress
    for path in ("/etc/passwd", "/../../etc/passwd", "/%2e%2e/etc/passwd", "/events.jsonl"):
        assert get(port, path) == (503, HTML.encode())


def test_visitors_that_say_nothing_or_nonsense_hold_nobody_up(progress: tuple[int, Path]) -> None:
    port, _ = progress
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    silent[0].sendall(b"\x00\xff\r\n\r\n")
    assert get(port, "/")[0] == 200
    for connection in silent:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving up rights needs root")
def test_the_server_has_no_rights(progress: tuple[int, Path]) -> None:
    port, _ = progress
    get(port, "/")
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    statuses = [Path(f"/proc/{pid}/status").read_text() for pid in children]
    (status,) = (status for status in statuses if "Uid:\t65534\t65534\t65534\t65534" in status)
    assert "CapEff:\t0000000000000000" in status
    assert "Groups:\t \n" in status


@pytest.fixture
def start_proxy() -> Iterator[Callable[[int], object]]:
    processes = []

    def start(port: int) -> None:
        command = [sys.executable, "-c", PROXY, str(port), str(PROXY_UID)]
        processes.append(subprocess.Popen(command))

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a socket to another user needs root")
def test_the_page_ends_when_the_proxy_listens_on_its_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_proxy: Callable[[int], object]
) -> None:
    user = tmp_path / "proxy-uid"
    monkeypatch.setattr(page, "proxy_uid", lambda: PROXY_UID if user.exists() else None)
    port = free_port()
    answers: list[str] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            try:
                status, body = get(port, "/index.html")
                answers.append(f"{status} {'proxy' if body == b'proxy' else 'page'}")
            except OSError:
                answers.append("none")

    visitor = threading.Thread(target=visit)
    with page.progress_page(port, HTML, tmp_path):
        visitor.start()
        user.touch()
        wait_until(lambda: answers)
        start_proxy(port)
        wait_until(lambda: "200 proxy" in answers)
        count = len(answers)
        wait_until(lambda: len(answers) > count + 20)
        is_over.set()
        visitor.join()
    # The page until the proxy listens, perhaps some lost connections, and then only the proxy.
    in_order = [answer for answer in answers if answer != "none"]
    assert in_order == sorted(in_order)
    assert set(in_order) == {"200 page", "200 proxy"}
    assert answers[-20:] == ["200 proxy"] * 20


def test_the_page_ends_with_the_installation(tmp_path: Path) -> None:
    port = free_port()
    with page.progress_page(port, HTML, tmp_path):
        assert get(port, "/")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(port, "/")


def test_the_page_ends_with_a_killed_installation(tmp_path: Path) -> None:
    port = free_port()
    code = (
        "import sys; from pathlib import Path; from tljh_installer.page import progress_page\n"
        f"with progress_page({port}, '<p>', Path({str(tmp_path)!r})): sys.stdin.read()\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environ, stdin=subprocess.PIPE
    ) as installation:
        wait_until(lambda: is_open(port))
        installation.send_signal(signal.SIGKILL)
    wait_until(lambda: not is_open(port))


def is_open(port: int) -> bool:
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port)).close()
        return True
    return False


class FakeProxy(BaseHTTPRequestHandler):
    """Traefik without routes, until the hub has started."""

    has_hub = False
    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        is_login = self.has_hub and self.path == "/hub/login"
        body = b"<title>JupyterHub</title>" if is_login else b"404 page not found"
        self.send_response(200 if is_login else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def fake_proxy() -> Iterator[Callable[[int], type[FakeProxy]]]:
    servers = []

    def start(port: int) -> type[FakeProxy]:
        handler = type("Handler", (FakeProxy,), {"paths": []})
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return handler

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def open_page() -> Iterator[Callable[..., list[str]]]:
    """Return a function that runs the page's script, and returns a growing list of its texts."""
    processes, readers = [], []

    def start(port: int, *, speed: int) -> list[str]:
        script = HTML.rpartition("<script>")[2].partition("</script>")[0]
        command = [str(NODE), "-e", BROWSER, script, f"http://127.0.0.1:{port}", str(speed)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines: list[str] = []

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.strip())

        reader = threading.Thread(target=read)
        reader.start()
        processes.append(process)
        readers.append(reader)
        return lines

    yield start
    for process, reader in zip(processes, readers, strict=True):
        process.kill()
        process.wait()
        reader.join()


def test_the_pages_script_survives_refused_connections_and_moves_on_to_the_hub(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    open_page: Callable[..., list[str]],
    fake_proxy: Callable[[int], type[FakeProxy]],
) -> None:
    monkeypatch.setattr(page, "_FAREWELL_S", 0.0)
    port = free_port()
    with page.progress_page(port, HTML, tmp_path) as events:
        events.write_text('{"event": "log", "line": "one"}\n')
        lines = open_page(port, speed=20)
        wait_until(lambda: lines)
    wait_until(lambda: len(lines) > 1)  # connections are refused now
    proxy = fake_proxy(port)
    wait_until(lambda: len(proxy.paths) > 4)
    assert "moves to /" not in lines
    proxy.has_hub = True
    wait_until(lambda: "moves to /" in lines)
    assert lines[:2] == ["one", "Nearly there: the hub is starting."]


def test_the_pages_script_points_to_the_terminal_when_nothing_answers(
    open_page: Callable[..., list[str]],
) -> None:
    lines = open_page(free_port(), speed=200)
    wait_until(lambda: any("has not answered for two minutes" in line for line in lines))
    assert not any("moves to" in line for line in lines)
