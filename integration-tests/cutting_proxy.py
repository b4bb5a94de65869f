"""An HTTP proxy that breaks connections off at random places, as bad networks do."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

CHUNK_BYTES = 65536
DIAL_TIMEOUT_S = 20


def _of_one_request(head: bytes) -> bytes:
    """The head of a request after which the connection ends: another may be for another host."""
    lines = [one for one in head.split(b"\r\n") if b"connection:" not in one.lower()]
    return b"\r\n".join([lines[0], b"Connection: close", *lines[1:]])


class CuttingProxy:
    """Relays, and ends each connection after a number of bytes of exponential distribution.

    `mean_bytes` is that distribution's mean, None for never; it counts for new connections. Every
    other connection ends with a reset in place of an end of file. `cuts` counts.
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
            await self._pass_on(reader, writer)
        writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
        is_tunnel = method == "CONNECT"
        url = urlsplit(f"//{target}" if is_tunnel else target)
        dialled = asyncio.open_connection(url.hostname, url.port or 80)
        up_reader, up_writer = await asyncio.wait_for(dialled, DIAL_TIMEOUT_S)
        left = self._random.expovariate(1 / self.mean_bytes) if self.mean_bytes else float("inf")
        relays = [asyncio.ensure_future(self._relay(up_reader, writer, left))]
        if is_tunnel:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            relays.append(asyncio.ensure_future(self._relay(reader, up_writer, float("inf"))))
        else:
            path = url.path + (f"?{url.query}" if url.query else "")
            up_writer.write(_of_one_request(head.replace(target.encode(), path.encode(), 1)))
        try:
            await asyncio.wait(relays, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in relays:
                one.cancel()
            up_writer.close()

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, left: float
    ) -> None:
        while data := await source.read(CHUNK_BYTES):
            if len(data) > left:
                self.cuts += 1
                sink.write(data[: int(left)])
                await sink.drain()
                if self._random.random() < 0.5:
                    sink.transport.abort()
                return
            left -= len(data)
            sink.write(data)
            await sink.drain()


@contextlib.contextmanager
def cutting_proxy(seed: int) -> Iterator[CuttingProxy]:
    """A proxy on every address of this computer, for as long as the block runs."""
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
