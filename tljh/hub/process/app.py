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
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import urlparse

import tornado.httpserver
from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.user import User
from tornado import httputil
from tornado.web import RequestHandler
from traitlets import default

from tljh.base.errors import TljhError
from tljh.base.paths import INSTANCE, paths_from_environment
from tljh.base.well_known import INSTANCE_HEADER
from tljh.host.real import RealHost
from tljh.hub.database_resource import carry_out_order
from tljh.hub.process.authenticator_choice import ours_for
from tljh.hub.process.authority_page import HANDLERS as AUTHORITY_HANDLERS
from tljh.hub.process.login_guard import guarded
from tljh.hub.process.pending_starts import one_by_one
from tljh.hub.process.spawner import UserCreatingSpawner
from tljh.hub.process.user_actions import HANDLERS as PERSON_HANDLERS
from tljh.systemd.notify import forget_socket, notify, store_socket, take_sockets

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

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        self._answering: set[object] = set()
        super().initialize(*args, **kwargs)

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        # Called when a connection begins to wait for its next request: the last is answered.
        self._answering.discard(server_conn)
        delegate = super().start_request(server_conn, request_conn)
        return _Noticed(delegate, lambda: self._answering.add(server_conn))

    def on_close(self, server_conn: object) -> None:
        self._answering.discard(server_conn)
        super().on_close(server_conn)

    @property
    def in_flight(self) -> int:
        """Requests that are not answered yet; an idle connection is none."""
        return len(self._answering)


def name_this_machine_once(headers: httputil.HTTPHeaders) -> None:
    """Give one name to who asks from this machine, by whichever of its two addresses.

    JupyterHub ties the token of the login form to the address, and a client of `localhost`
    may take the one for the page and the other for what it sends.
    """
    for name in ("X-Forwarded-For", "X-Real-Ip"):
        if (told := headers.get(name)) is not None:
            addresses = [part.strip() for part in told.split(",")]
            headers[name] = ", ".join("127.0.0.1" if a == "::1" else a for a in addresses)


class _Noticed(httputil.HTTPMessageDelegate):
    """Passes a request on and tells when it has begun."""

    def __init__(self, inner: httputil.HTTPMessageDelegate, begun: Callable[[], None]) -> None:
        self._inner = inner
        self._begun = begun

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        self._begun()
        name_this_machine_once(headers)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()


def set_cookie(handler: BaseHandler, name: str, value: str | bytes, **options: Any) -> None:
    """Like Tornado's, but what goes over HTTPS is for HTTPS only.

    JupyterHub does so for its sessions, not for `_xsrf`. What counts is how the browser came,
    which a proxy in front of this machine may know alone.
    """
    if handler.request.protocol == "https":
        options.setdefault("secure", True)
    RequestHandler.set_cookie(handler, name, value, **options)


class Hub(JupyterHub):
    """JupyterHub with a socket that survives it and an orderly end."""

    name = "jupyterhub"

    @default("authenticator")
    def _guarded_authenticator(self) -> Any:
        return guarded(ours_for(self.authenticator_class))(
            parent=self, _deprecated_db_session=self.db
        )

    def init_tornado_settings(self) -> None:
        own = str(Path(__file__).with_name("templates"))
        more = getattr(self.authenticator, "template_dirs", ())
        self.template_paths: list[str] = [*self.template_paths, own, *more]
        super().init_tornado_settings()
        # The page of a starting server comes at once, and tells how far it is.
        self.tornado_settings.setdefault("slow_spawn_timeout", 0)
        # By this the health check knows an answer of this installation from any other.
        instance = paths_from_environment().state_dir / INSTANCE
        if instance.is_file():
            headers = self.tornado_settings.setdefault("headers", {})
            headers[INSTANCE_HEADER] = instance.read_text().strip()

    def init_handlers(self) -> None:
        super().init_handlers()
        BaseHandler.set_cookie = set_cookie
        User.spawn = one_by_one(User.spawn)
        # Before JupyterHub's own, of which the last answers every other address.
        self.handlers[:0] = self.add_url_prefix(
            self.hub_prefix, [*PERSON_HANDLERS, *AUTHORITY_HANDLERS]
        )

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
        # Who waits for a turn comes back to the next hub; who has one is waited for.
        for spawner in self._spawners():
            if isinstance(spawner, UserCreatingSpawner):
                spawner.queue.close()
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
        return any(spawner.pending for spawner in self._spawners())

    def _spawners(self) -> list[Any]:
        return [one for user in self.users.values() for one in user.spawners.values()]


def main() -> None:
    # New homes and the database inherit it; the unit sets it too.
    os.umask(0o077)
    try:
        carry_out_order(RealHost(), paths_from_environment().state_dir, Path(sys.prefix))
    except TljhError as error:
        sys.exit(str(error))
    configuration = Path(__file__).with_name("jupyterhub_config.py")
    Hub.launch_instance([f"--config={configuration}", *sys.argv[1:]])


if __name__ == "__main__":
    main()
