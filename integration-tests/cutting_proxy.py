"""An HTTP proxy that cuts connections at random places, like a bad network."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

CHUNK_BYTES = 65536
CONNECT_TIMEOUT_S = 20


def _close_after(head: bytes) -> bytes:
    """Make the connection end after this request: the next one may be for another host."""
    lines = [line for line in head.split(b"\r\n") if b"connection:" not in line.lower()]
    return b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])


class CuttingProxy:
    """A proxy that cuts each connection after a random number of response bytes.

    The number is exponentially distributed with the mean `mean_bytes`, None for no cuts; a new
    mean holds for new connections. Half of the cuts are resets, the others ends of file. `cuts`
    counts them.
    """

    def __init__(self, seed: int) -> None:
        self.mean_bytes: int | None = None
        self.cuts = 0
        self.port = 0
        self._random = random.Random(seed)

    async def serve(self) -> asyncio.Server:
        server = await asyncio.start_server(self._client, "0.0.0.0", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            await self._serve_request(reader, writer)
        writer.close()

    async def _serve_request(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
        is_tunnel = method == "CONNECT"
        url = urlsplit(f"//{target}" if is_tunnel else target)
        connecting = asyncio.open_connection(url.hostname, url.port or 80)
        up_reader, up_writer = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        limit = self._random.expovariate(1 / self.mean_bytes) if self.mean_bytes else float("inf")
        relays = [asyncio.ensure_future(self._relay(up_reader, writer, limit))]
        if is_tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relays.append(asyncio.ensure_future(self._relay(reader, up_writer, float("inf"))))
        else:
            path = url.path + (f"?{url.query}" if url.query else "")
            up_writer.write(_close_after(head.replace(target.encode(), path.encode(), 1)))
        try:
            await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for relay in relays:
                relay.cancel()
            up_writer.close()

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, remaining: float
    ) -> None:
        while data := await source.read(CHUNK_BYTES):
            if len(data) > remaining:
                self.cuts += 1
                sink.write(data[: int(remaining)])
                await sink.drain()
                if self._random.random() < 0.5:
                    sink.transport.abort()
                return
            remaining -= len(data)
            sink.write(data)
            await sink.drain()


@contextlib.contextmanager
def cutting_proxy(seed: int) -> Iterator[CuttingProxy]:
    """Run a proxy on every address of this computer while the block runs."""
    proxy = CuttingProxy(seed)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        server = asyncio.run_coroutine_threadsafe(proxy.serve(), loop).result()
        yield proxy
        loop.call_soon_threadsafe(server.close)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
