"""JupyterHub as our unit runs it: a restart loses no request.

Its listening socket outlives it in systemd's file descriptor store, so during a restart
connections wait in the kernel's queue for the next process; on SIGTERM what is in flight is
answered before the process goes. systemd is told when the hub really listens.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlparse

import tornado.httpserver
from jupyterhub.app import JupyterHub

from tljh.facts import INSTANCE
from tljh.hub.health import INSTANCE_HEADER
from tljh.paths import paths_from_environment
from tljh.proxy.notify import forget_socket, notify, store_socket, take_sockets

SOCKET_NAME = "hub"
# Past this, what is still in flight is cut: a reload must not wait for one stuck request.
DRAIN_TIMEOUT_S = 10.0
# A spawn that is cut off leaves a server that the next hub has to find again.
PENDING_SPAWN_TIMEOUT_S = 30.0
# All requests of a 100-user class that arrive during a restart wait here.
BACKLOG = 4096


class InheritedServer(tornado.httpserver.HTTPServer):
    """An HTTP server that listens on the socket systemd kept, or makes one and gives it to keep."""

    def listen(self, port: int, address: str | None = None, *_: Any, **options: Any) -> None:
        kept = dict(take_sockets()).get(SOCKET_NAME)
        if kept is not None and kept.getsockname()[:2] == (address, port):
            kept.setblocking(False)
            self.add_socket(kept)
            return
        family = socket.AF_INET6 if address and ":" in address else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind((address or "127.0.0.1", port))
        made.listen(BACKLOG)
        if kept is not None:
            forget_socket(SOCKET_NAME)
            kept.close()
        store_socket(SOCKET_NAME, made)
        self.add_socket(made)

    @property
    def in_flight(self) -> int:
        # Traefik opens a connection for each request (its transport keeps none idle), so open
        # connections are requests that are not answered yet.
        return len(self._connections)


class Hub(JupyterHub):
    """JupyterHub with a socket that survives it and an orderly end."""

    name = "jupyterhub"

    def init_tornado_settings(self) -> None:
        own = str(Path(__file__).with_name("templates"))
        self.template_paths: list[str] = [*self.template_paths, own]
        super().init_tornado_settings()
        # By this the health check knows an answer of this installation from any other.
        instance = paths_from_environment().state_dir / INSTANCE
        if instance.is_file():
            headers = self.tornado_settings.setdefault("headers", {})
            headers[INSTANCE_HEADER] = instance.read_text().strip()

    async def start(self) -> None:
        # JupyterHub makes its server inside `start` and has no setting for the socket.
        with mock.patch.object(tornado.httpserver, "HTTPServer", InheritedServer):
            await super().start()
        bind = urlparse(self.hub.bind_url)
        notify("READY=1", f"STATUS=serving at {bind.hostname}:{bind.port}")

    async def shutdown_cancel_tasks(self, sig: signal.Signals | None = None) -> None:
        notify("STOPPING=1", "STATUS=answering what is in flight")
        await self.drain()
        await super().shutdown_cancel_tasks(sig)

    async def drain(self) -> None:
        """Accept nothing more, let starting servers and open requests finish, within deadlines."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        while self._is_spawning() and loop.time() - began_s < PENDING_SPAWN_TIMEOUT_S:
            await asyncio.sleep(0.1)
        server = self.http_server
        if not isinstance(server, InheritedServer):
            return
        server.stop()
        began_s = loop.time()
        while server.in_flight and loop.time() - began_s < DRAIN_TIMEOUT_S:
            await asyncio.sleep(0.02)
        if server.in_flight:
            self.log.warning("%i requests were cut off after the drain", server.in_flight)

    def _is_spawning(self) -> bool:
        return any(
            spawner.pending for user in self.users.values() for spawner in user.spawners.values()
        )


def main() -> None:
    # New homes and the database inherit it; the unit sets it too.
    os.umask(0o077)
    configuration = Path(__file__).with_name("jupyterhub_config.py")
    Hub.launch_instance([f"--config={configuration}", *sys.argv[1:]])


if __name__ == "__main__":
    main()
