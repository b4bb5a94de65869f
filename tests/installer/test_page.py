from __future__ import annotations

import contextlib
import http.client
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tljh_installer import page
from tljh_installer.release import page_html

HTML = page_html(None)
LIKE_TRAEFIK = """
import ctypes, os, socket, struct, sys, time
port, uid = int(sys.argv[1]), int(sys.argv[2])
os.setuid(uid)
new = socket.socket(socket.AF_INET6)
new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
new.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
new.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
new.bind(("::", port))
new.listen(512)
# As Traefik's supervisor does when it takes itself to be alone: everybody to the first socket.
program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0), 8)
new.setsockopt(socket.SOL_SOCKET, 51, struct.pack("HxxxxxxP", 1, ctypes.addressof(program)))
time.sleep(0.3)  # as slow as a real proxy in beginning to accept
while True:
    connection, _ = new.accept()
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n")
    connection.sendall(b"Connection: close\\r\\n\\r\\nproxy")
    connection.close()
"""


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
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, Path]]:
    """A page that is up, and where its events go. There is no proxy's user yet."""
    monkeypatch.setattr(page, "_FAREWELL_S", 0.0)
    user = tmp_path / "proxy-uid"
    monkeypatch.setattr(
        page, "proxy_uid", lambda: int(user.read_text() or 0) if user.exists() else None
    )
    port = free_port()
    with page.progress_page(port, HTML, tmp_path) as events:
        yield port, events


def test_the_page_is_served_and_other_addresses_say_not_yet(shown: tuple[int, Path]) -> None:
    port, _ = shown
    assert get(port, "/index.html") == (200, HTML.encode())
    assert get(port, "/")[0] == 200
    assert get(port, "/hub/login")[0] == 503


def test_events_are_served_from_where_the_browser_left_off(shown: tuple[int, Path]) -> None:
    port, events = shown
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


def test_nothing_of_the_machines_files_is_served(shown: tuple[int, Path]) -> None:
    port, _ = shown
    for path in ("/etc/passwd", "/../../etc/passwd", "/%2e%2e/etc/passwd", "/events.jsonl"):
        assert get(port, path) == (503, HTML.encode())


def test_visitors_that_say_nothing_or_nonsense_hold_nobody_up(shown: tuple[int, Path]) -> None:
    port, _ = shown
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
    silent[0].sendall(b"\x00\xff\r\n\r\n")
    assert get(port, "/")[0] == 200
    for connection in silent:
        connection.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a socket to another user needs root")
def test_the_server_has_no_rights(shown: tuple[int, Path]) -> None:
    port, _ = shown
    get(port, "/")
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    (keeper,) = (pid for pid in children if Path(f"/proc/{pid}/task/{pid}/children").read_text())
    (server,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    status = Path(f"/proc/{server}/status").read_text()
    assert "Uid:\t65534\t65534\t65534\t65534" in status
    assert "CapEff:\t0000000000000000" in status
    assert "Groups:\t \n" in status


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a socket to another user needs root")
def test_the_proxy_takes_the_port_over_and_no_visitor_sees_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor comes from another address; the installation's own check from the same."""
    user = tmp_path / "proxy-uid"
    monkeypatch.setattr(page, "proxy_uid", lambda: 34 if user.exists() else None)
    port = free_port()
    seen: list[str] = []
    is_over = threading.Event()

    def visit() -> None:
        while not is_over.is_set():
            try:
                status, body = get(port, "/index.html", source="127.0.0.2")
                seen.append(f"{status} {'proxy' if body == b'proxy' else 'page'}")
            except OSError as error:
                seen.append(repr(error))

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    with page.progress_page(port, HTML, tmp_path):
        for visitor in visitors:
            visitor.start()
        user.touch()
        # As in an install, there is time between making the user and starting its service.
        is_over.wait(0.3)
        proxy = subprocess.Popen([sys.executable, "-c", LIKE_TRAEFIK, str(port), "34"])
        until = time.monotonic() + 10
        while get(port, "/")[1] != b"proxy":
            assert time.monotonic() < until
        assert {get(port, "/")[1] for _ in range(50)} == {b"proxy"}
        before = list(seen)
    is_over.wait(0.3)
    is_over.set()
    for visitor in visitors:
        visitor.join()
    proxy.kill()
    proxy.wait()
    assert set(before) == {"200 page"}
    assert set(seen) == {"200 page", "200 proxy"}
    assert seen[-1] == "200 proxy"


def test_the_page_goes_with_the_installation(tmp_path: Path) -> None:
    port = free_port()
    with page.progress_page(port, HTML, tmp_path):
        assert get(port, "/")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        for _ in range(200):  # the server follows its keeper by a signal
            with contextlib.suppress(ConnectionResetError, http.client.RemoteDisconnected):
                get(port, "/")


def run(program: bytes, packet: bytes) -> int:
    """A small interpreter of the instructions that the program uses."""
    a = x = at = 0
    code = list(struct.iter_unpack("HBBI", program))
    while True:
        kind, if_true, if_false, value = code[at]
        offset = value - (1 << 32) + 0x100000 if value >> 31 else value
        at += 1
        match kind:
            case 0x06:
                return value
            case 0x20:
                a = int.from_bytes(packet[offset : offset + 4], "big")
            case 0x30:
                a = packet[offset]
            case 0x07:
                x = a
            case 0x74:
                a >>= value
            case 0x15 | 0x1D:
                at += if_true if a == (value if kind == 0x15 else x) else if_false
            case _:
                raise AssertionError(hex(kind))


def header(sender: str, receiver: str) -> bytes:
    pair = ipaddress.ip_address(sender).packed + ipaddress.ip_address(receiver).packed
    return (b"\x45" + bytes(11) if len(pair) == 8 else b"\x60" + bytes(7)) + pair


@pytest.mark.parametrize(
    ("sender", "receiver", "socket_number"),
    [
        ("127.0.0.1", "127.0.0.1", 1),
        ("10.0.0.5", "10.0.0.5", 1),
        ("10.0.0.9", "10.0.0.5", 0),
        ("::1", "::1", 1),
        ("2001:db8::1", "2001:db8::1", 1),
        ("2001:db8::1", "2001:db8::2", 0),
        ("2001:db8:1::1", "2001:db8::1", 0),
        ("2001:db8:0:1::1", "2001:db8::1", 0),
        ("2001:db8::1:0:1", "2001:db8::1", 0),
    ],
)
def test_only_what_this_machine_sends_itself_goes_to_the_newer_socket(
    sender: str, receiver: str, socket_number: int
) -> None:
    assert run(page.program_local_to_newer(), header(sender, receiver)) == socket_number
