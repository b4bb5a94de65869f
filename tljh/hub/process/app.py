"""JupyterHub as its systemd unit runs it: a restart loses no request.

systemd keeps the listening socket (file descriptor store), so during a restart connections wait
in the kernel's queue for the next process. On SIGTERM the hub answers the requests in flight
before it ends. It reports READY to systemd only when it listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock
from urllib.parse import urlparse

import aiohttp
import tornado.httpserver
from jupyterhub.app import JupyterHub
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.login import LogoutHandler
from jupyterhub.httpclient import JupyterHubHTTPClient
from jupyterhub.user import User
from tornado import httputil
from tornado.web import RequestHandler
from traitlets import Dict, List, Unicode, default

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths, get_paths
from tljh.base.well_known import INSTANCE_HEADER
from tljh.certificates.internal_authorities import HUB, renew_store
from tljh.certificates.machine_names import is_address
from tljh.host.real import RealHost
from tljh.hub.database_move import carry_out_move
from tljh.hub.database_resource import carry_out_order
from tljh.hub.facts import read_applied_database
from tljh.hub.process import entry_pages
from tljh.hub.process.access_records import collect_effective_lists, remove_uncommitted, write_lists
from tljh.hub.process.announcement import add_announcement
from tljh.hub.process.authority_page import HANDLERS as AUTHORITY_HANDLERS
from tljh.hub.process.database_connections import prepare_connections, wait_for_server
from tljh.hub.process.database_indexes import add_indexes, lazy_relations
from tljh.hub.process.database_outage import Watch, guard_handlers
from tljh.hub.process.declared_groups import follow_groups, read_members
from tljh.hub.process.internal_tls import (
    accept_either,
    is_plain_needed,
    list_hub_names,
    wait_until_due,
)
from tljh.hub.process.log_lines import make_lines_safe
from tljh.hub.process.log_redaction import replace_redaction
from tljh.hub.process.login_guard import make_guarded_class
from tljh.hub.process.metrics import ServerUnit, register_metrics
from tljh.hub.process.page_guard import guard
from tljh.hub.process.pending_starts import serialize_spawns
from tljh.hub.process.ration_watch import watch_rations
from tljh.hub.process.request_limits import HEADER_TIMEOUT_S, limit_body
from tljh.hub.process.service_tokens import remove_stale_tokens
from tljh.hub.process.sessions import ending_sessions
from tljh.hub.process.spawner import UserCreatingSpawner
from tljh.hub.process.temporary_users import HANDLERS as TEMPORARY_HANDLERS
from tljh.hub.process.temporary_users import LaunchLimits, SessionWatch
from tljh.hub.process.traefik_routes import AWAY_AFTER_S, RESTART_S, RoutesProxy
from tljh.hub.process.user_actions import HANDLERS as USER_ACTION_HANDLERS
from tljh.systemd.notify import forget_socket, notify, store_socket, take_sockets

SOCKET_NAME = "hub"
LOOPBACK_NAME = "hub-loopback"
SOCKET_NAMES = (SOCKET_NAME, LOOPBACK_NAME)
LOOPBACK = "127.0.0.1"


# Requests that take longer are cut off: one stuck request must not hold up a reload.
DRAIN_TIMEOUT_S = 10.0


# Longer than the drain: a spawn that is cut off leaves a server that the next hub does not know.
PENDING_SPAWN_TIMEOUT_S = 30.0


# Of one request to a server or to Traefik. A server that is slow to start gets further ones.
REQUEST_TIMEOUT_S = 10.0


# How long a look at the servers counts: whether one needs the hub's plain address.
LOOK_AT_SERVERS_S = 1.0


# The length of the kernel's queue: room for all requests of a class of 100 during a restart.
BACKLOG = 4096


# Of the start, while the database is away: asked for again at each attempt.
EXTEND_US = 60_000_000
MOVE_US = 900_000_000


def _list_addresses(address: str | None, port: int) -> dict[str, tuple[str, int]]:
    """Return the addresses on which the hub listens, by the names of their kept sockets.

    The commands, the health check and Traefik ask 127.0.0.1. So the hub listens there as well if
    `hub_ip` is another address of this machine, for containers for example.
    """
    # JupyterHub's own meaning of an empty hub_ip: all interfaces.
    resolved = socket.getaddrinfo(address or "0.0.0.0", port, type=socket.SOCK_STREAM)
    main = str(resolved[0][4][0])
    addresses = {SOCKET_NAME: (main, port)}
    # A socket on :: takes IPv4, too.
    if main not in ("0.0.0.0", "::", LOOPBACK):
        addresses[LOOPBACK_NAME] = (LOOPBACK, port)
    return addresses


def _give_up(name: str, listener: socket.socket) -> None:
    """Close a socket that systemd kept for an address which the hub no longer uses.

    systemd has a copy of it, and closes that only later. Until then clients would wait instead of
    being refused, and 0.0.0.0 could not be bound to the same port. So the socket is shut down: that
    ends the listening of all copies.
    """
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    forget_socket(name)
    listener.close()


def _make_listener(place: tuple[str, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(place)
    listener.listen(BACKLOG)
    return listener


class InheritedServer(tornado.httpserver.HTTPServer):
    """An HTTP server on the socket that systemd kept; a new socket is given to systemd to keep."""

    def listen(self, port: int, address: str | None = None, *_: Any, **options: Any) -> None:
        addresses = _list_addresses(address, port)
        kept = {}
        for name, inherited in take_sockets():
            if name in addresses and inherited.getsockname()[:2] == addresses[name]:
                kept[name] = inherited
            elif name in SOCKET_NAMES:
                _give_up(name, inherited)
        for name, place in addresses.items():
            listener = kept.get(name)
            if listener is None:
                listener = _make_listener(place)
                store_socket(name, listener)
            listener.setblocking(False)
            self.add_socket(listener)

    def _handle_connection(self, connection: socket.socket, address: Any) -> None:
        app = getattr(self.request_callback, "settings", {}).get("app")
        if self.ssl_options is None or app is None or not app.accepts_plain():
            super()._handle_connection(connection, address)
            return
        accept = super()._handle_connection

        def accept_plain() -> None:
            options, self.ssl_options = self.ssl_options, None
            try:
                accept(connection, address)
            finally:
                self.ssl_options = options

        task = asyncio.create_task(
            accept_either(
                connection, HEADER_TIMEOUT_S, lambda: accept(connection, address), accept_plain
            )
        )
        self._new_connections.add(task)
        task.add_done_callback(self._new_connections.discard)

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        self._new_connections: set[asyncio.Task[None]] = set()
        self._answering: set[object] = set()
        kwargs.setdefault("idle_connection_timeout", HEADER_TIMEOUT_S)
        super().initialize(*args, **kwargs)

    def start_request(
        self, server_conn: object, request_conn: httputil.HTTPConnection
    ) -> httputil.HTTPMessageDelegate:
        # Tornado calls this when a connection begins to wait for a request, not when one has
        # arrived. So the last request is answered now, and the next one counts from its headers.
        self._answering.discard(server_conn)
        delegate = super().start_request(server_conn, request_conn)

        def begin(headers: httputil.HTTPHeaders) -> None:
            self._answering.add(server_conn)
            if (app := getattr(self.request_callback, "settings", {}).get("app")) is not None:
                limit_body(app, request_conn, headers)

        return _RequestObserver(delegate, begin)

    def on_close(self, server_conn: object) -> None:
        self._answering.discard(server_conn)
        super().on_close(server_conn)

    @property
    def in_flight(self) -> int:
        """The number of requests that are not answered yet, without idle connections."""
        return len(self._answering)


def unify_loopback(headers: httputil.HTTPHeaders) -> None:
    """Replace the client address ::1 with 127.0.0.1, in place.

    JupyterHub ties the token of the login form to the client's address. A client of `localhost`
    may use one loopback address to get the form and the other to send it.
    """
    for name in ("X-Forwarded-For", "X-Real-Ip"):
        if (value := headers.get(name)) is not None:
            addresses = [part.strip() for part in value.split(",")]
            headers[name] = ", ".join("127.0.0.1" if a == "::1" else a for a in addresses)


class _RequestObserver(httputil.HTTPMessageDelegate):
    """A delegate that reports when a request has begun and passes it on."""

    def __init__(
        self,
        inner: httputil.HTTPMessageDelegate,
        on_begin: Callable[[httputil.HTTPHeaders], None],
    ) -> None:
        self._inner = inner
        self._on_begin = on_begin

    def headers_received(
        self,
        start_line: httputil.RequestStartLine | httputil.ResponseStartLine,
        headers: httputil.HTTPHeaders,
    ) -> Awaitable[None] | None:
        self._on_begin(headers)
        unify_loopback(headers)
        return self._inner.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        return self._inner.data_received(chunk)

    def finish(self) -> None:
        self._inner.finish()

    def on_connection_close(self) -> None:
        self._inner.on_connection_close()


def set_cookie(handler: BaseHandler, name: str, value: str | bytes, **options: Any) -> None:
    """Set a cookie like Tornado, and mark it `Secure` if the browser came over HTTPS.

    JupyterHub does so for its sessions, but not for `_xsrf`. `protocol` follows X-Forwarded-Proto,
    because HTTPS may end at a proxy in front of this machine.
    """
    if handler.request.protocol == "https":
        options.setdefault("secure", True)
    RequestHandler.set_cookie(handler, name, value, **options)


class TljhHub(JupyterHub):
    """JupyterHub with an inherited socket, a drain before its end, and tljh's own pages."""

    name = "jupyterhub"

    _waits_because = ""
    _is_starting = True
    _is_plain_needed = True
    _plain_until_s = 0.0
    internal_ssl: bool
    trusted_alt_names: list[str]
    has_tls = False
    _service_tasks: ClassVar[list[asyncio.Task[bool]]] = []
    db_password_file = Unicode(
        help="File with the password of the database; `db_url` has none."
    ).tag(config=True)
    declared_groups = List(
        Unicode(), help="The groups of config.yaml, whose members are those in load_groups."
    ).tag(config=True)

    launch = Dict(help="When sessions of temporary users end; see `launch`.").tag(config=True)

    @default("authenticator")
    def _guarded_authenticator(self) -> Any:
        return make_guarded_class(self.authenticator_class)(
            parent=self, _deprecated_db_session=self.db
        )

    def init_db(self) -> None:
        prepare_connections(self.db_password_file)
        if not self.db_url.startswith("sqlite"):
            wait_for_server(self.db_url, self._report_wait)
        super().init_db()
        add_indexes(self.db.get_bind())

    def _report_wait(self, reason: str) -> None:
        if reason != self._waits_because:
            self.log.warning("Waiting for the hub's database: %s", reason)
            self._waits_because = reason
        # systemd would end a start that takes too long, and its next start would wait as well.
        notify(f"STATUS=waiting for the database: {reason}", f"EXTEND_TIMEOUT_USEC={EXTEND_US}")

    def init_internal_ssl(self) -> None:
        paths = get_paths()
        is_on = self.internal_ssl
        # Switched off, it stays for the servers that started before. The hub then answers both.
        self.has_tls = is_on or (paths.internal_ssl / HUB).is_dir()
        if self.has_tls:
            names = list_hub_names(self)
            renewed = renew_store(RealHost(), paths.internal_ssl, names, get_utc_time())
            if renewed:
                self.log.warning("internal_ssl: new certificates of %s", ", ".join(renewed))
            self.internal_certs_location = str(paths.internal_ssl)
            more = [f"{'IP' if is_address(name) else 'DNS'}:{name}" for name in names]
            self.trusted_alt_names = [*self.trusted_alt_names, *more]
        self.internal_ssl = self.has_tls
        super().init_internal_ssl()
        self.internal_ssl = is_on

    def accepts_plain(self) -> bool:
        """Return whether the hub's port answers plain HTTP besides TLS.

        At its start it does: requests wait at the port that were sent to the hub before a switch.
        """
        if not self.internal_ssl or self._is_starting:
            return True
        # Each request of the proxy is a connection, and a hub may have thousands of users.
        time_s = asyncio.get_running_loop().time()
        if time_s >= self._plain_until_s:
            self._is_plain_needed = is_plain_needed(self._spawners())
            self._plain_until_s = time_s + LOOK_AT_SERVERS_S
        return self._is_plain_needed

    async def init_users(self) -> None:
        host, paths = RealHost(), get_paths()
        groups = self._collect_groups().values()
        lists = collect_effective_lists(self.authenticator, groups, self.load_roles)
        removed = remove_uncommitted(self.db, host, paths, lists)
        if removed:
            self.log.warning("removed users of a change that was rolled back: %s", removed)
        write_lists(host, paths.hub_lists, lists)
        with lazy_relations(self.db):
            await super().init_users()

    async def init_groups(self) -> None:
        loaded = self._collect_groups()
        before = read_members(self.db, loaded)
        await super().init_groups()
        changed = follow_groups(
            self.db,
            RealHost(),
            get_paths().hub_groups,
            loaded=loaded,
            declared=set(self.declared_groups),
            before=before,
        )
        if changed:
            self.log.info("groups follow the configuration: %s", ", ".join(changed))

    def _collect_groups(self) -> dict[str, frozenset[str]]:
        """Return the members of each group in the configuration, as the hub normalizes names."""
        normalize = self.authenticator.normalize_username
        groups = {}
        for name, content in self.load_groups.items():
            members = content.get("users", ()) if isinstance(content, dict) else content
            groups[name] = frozenset(normalize(member) for member in members)
        return groups

    async def start_service(self, service_name: str, service: Any, ssl_context: Any = None) -> bool:
        if service.managed:
            return bool(await super().start_service(service_name, service, ssl_context))
        # JupyterHub would wait for each service in turn, 30 s for one that does not run, before it
        # counts as started: three of them would end the hub's start.
        task = asyncio.create_task(super().start_service(service_name, service, ssl_context))
        self._service_tasks.append(task)
        return True

    async def init_api_tokens(self) -> None:
        await super().init_api_tokens()
        remove_stale_tokens(self.db, self.service_tokens)

    def _list_servers(self) -> Iterator[ServerUnit]:
        for user in self.users.values():
            for spawner in user.spawners.values():
                yield ServerUnit(
                    user.name, spawner.name, getattr(spawner, "unit_name", ""), spawner.ready
                )

    def init_tornado_settings(self) -> None:
        own = str(Path(__file__).with_name("templates"))
        more = getattr(self.authenticator, "template_dirs", ())
        # Ours come before JupyterHub's, which they extend, and after those of an admin.
        jupyterhubs = self._template_paths_default()
        admins = [path for path in self.template_paths if path not in jupyterhubs]
        self.template_paths: list[str] = [*admins, own, *jupyterhubs, *more]
        page = getattr(self.authenticator, "password_page", "")
        self.template_vars: dict[str, Any] = {
            "password_page": page,
            **add_announcement(
                self.template_vars, Paths.announcement, get_paths().announcement_file
            ),
        }
        super().init_tornado_settings()
        register_metrics(self._list_servers, get_paths().usage_history)
        # JupyterHub would wait for 10 s for a server before it shows the page with the progress.
        self.tornado_settings.setdefault("slow_spawn_timeout", 0)
        # The health check recognizes this installation's answers by this header.
        instance = get_paths().instance
        if instance.is_file():
            headers = self.tornado_settings.setdefault("headers", {})
            headers[INSTANCE_HEADER] = instance.read_text().strip()

    def init_handlers(self) -> None:
        super().init_handlers()
        # Without it, one request to a server that never answers takes 5 minutes, and with it the
        # hub's check after a restart, during which no one stops the server.
        session_options = JupyterHubHTTPClient.instance().session_options
        session_options.setdefault("timeout", aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))
        BaseHandler.set_cookie = set_cookie
        guard_handlers(BaseHandler, Watch(self.log))
        replace_redaction()
        BaseHandler.redirect = entry_pages.redirect
        LogoutHandler.default_handle_logout = ending_sessions(LogoutHandler.default_handle_logout)
        User.spawn = serialize_spawns(User.spawn)
        # In front of JupyterHub's own handlers: the last of those answers every address.
        self.handlers[:0] = self.add_url_prefix(
            self.hub_prefix,
            [
                *USER_ACTION_HANDLERS,
                *TEMPORARY_HANDLERS,
                *AUTHORITY_HANDLERS,
                *entry_pages.HANDLERS,
            ],
        )
        self.handlers.insert(0, (rf"{self.base_url}user/[^/]+/.*", entry_pages.OutsideHandler))

    def init_logging(self) -> None:
        super().init_logging()
        make_lines_safe()

    def init_tornado_application(self) -> None:
        super().init_tornado_application()
        guard(self.tornado_application, self.hub_prefix)

    async def start(self) -> None:
        # JupyterHub creates its HTTP server inside `start` and has no setting for the socket or
        # the class. So the class is replaced during the call.
        with mock.patch.object(tornado.httpserver, "HTTPServer", InheritedServer):
            await super().start()
        if isinstance(self.proxy, RoutesProxy):
            self.proxy.fall_back_after(AWAY_AFTER_S)
            self.proxy.remove_unused_transports()
        self._is_starting = False
        if self.has_tls:
            self._renewal = asyncio.create_task(self._restart_for_renewal())
        self._rations = asyncio.create_task(watch_rations(RealHost(), self.log))
        # Also without `launch`: users of a time before are removed.
        self.session_watch = SessionWatch(RealHost(), self, LaunchLimits(**self.launch), self.log)
        self._sessions = asyncio.create_task(self.session_watch.run())
        bind = urlparse(self.hub.bind_url)
        notify("READY=1", f"STATUS=serving at {bind.hostname}:{bind.port}")

    async def _restart_for_renewal(self) -> None:
        due = await wait_until_due(get_paths())
        self.log.warning("internal_ssl: restart, to renew the certificates of %s", ", ".join(due))
        # As `systemctl restart`: no request is lost, and systemd starts the hub again.
        os.kill(os.getpid(), signal.SIGTERM)

    async def shutdown_cancel_tasks(self, sig: signal.Signals | None = None) -> None:
        notify("STOPPING=1", "STATUS=answering requests in flight")
        self._rations.cancel()
        self._sessions.cancel()
        if sig is not None and isinstance(self.proxy, RoutesProxy):
            # systemd restarts the hub, for a reload for example: requests wait for the next one.
            self.proxy.fall_back_after(RESTART_S)
        await self.drain()
        await super().shutdown_cancel_tasks(sig)

    async def drain(self) -> None:
        """Wait for starting servers, then stop accepting and wait for open requests.

        Both waits have a deadline; requests that are still open after it are cut off.
        """
        loop = asyncio.get_running_loop()
        start_s = loop.time()
        # Starts in the queue are refused with a page that asks the next hub. Starts that have
        # their turn are waited for.
        for spawner in self._spawners():
            if isinstance(spawner, UserCreatingSpawner):
                spawner.queue.close()
        while self._is_spawning() and loop.time() - start_s < PENDING_SPAWN_TIMEOUT_S:
            await asyncio.sleep(0.1)
        server = self.http_server
        if not isinstance(server, InheritedServer):
            return
        server.stop()
        start_s = loop.time()
        while server.in_flight and loop.time() - start_s < DRAIN_TIMEOUT_S:
            await asyncio.sleep(0.02)
        if server.in_flight:
            self.log.warning("%i requests were cut off after the drain", server.in_flight)

    def _is_spawning(self) -> bool:
        # Not also "check" and "stop": a user's program decides how long these take.
        return any(spawner.pending == "spawn" for spawner in self._spawners())

    def _spawners(self) -> list[Any]:
        return [spawner for user in self.users.values() for spawner in user.spawners.values()]


def carry_out_orders() -> None:
    """Move or migrate the database, if ordered, before anything uses it."""
    host, paths, environment = RealHost(), get_paths(), Path(sys.prefix)
    database = read_applied_database(host, paths)
    if any(host.info(path) for path in (paths.move_order, paths.move_order.with_suffix(".begun"))):
        notify("STATUS=moving the database", f"EXTEND_TIMEOUT_USEC={MOVE_US}")
        if database is not None:
            carry_out_move(host, paths.move_order, environment, database.url)
    carry_out_order(host, paths.migration_order, environment)


def main() -> None:
    # The unit sets the umask, too. Here it also holds for a hub that is started by hand: the
    # database and new homes must not be readable by others.
    os.umask(0o077)
    try:
        carry_out_orders()
    except TljhError as error:
        sys.exit(str(error))
    configuration = Path(__file__).with_name("jupyterhub_config.py")
    TljhHub.launch_instance([f"--config={configuration}", *sys.argv[1:]])


if __name__ == "__main__":
    main()
