"""TLS between hub, proxy and servers (JupyterHub's `internal_ssl`), and a switch that loses none.

A server speaks what it spoke at its start, until it stops. So while servers of a time before the
switch run, the hub answers TLS and plain HTTP at its port, and each route knows its server's way.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tljh.base.clock import get_utc_time
from tljh.base.paths import Paths
from tljh.certificates.internal_authorities import (
    HUB_AUTHORITY,
    LOOPBACK_NAMES,
    PROXY_CLIENT,
    SERVERS_AUTHORITY,
    issue_pair,
    list_due,
    name_server,
    read_pair,
    write_pair,
)
from tljh.host.interface import Host
from tljh.proxy.traefik_dynamic import LONGEST_HUB_ANSWER_S

# The first byte of a TLS connection: a record with a handshake.
_TLS_START = b"\x16"
LOOK_EVERY_S = 24 * 3600


def list_hub_names(app: Any) -> list[str]:
    """Return the names and addresses at which servers and services reach the hub."""
    connect = urlsplit(app.hub_connect_url or "").hostname
    names = [*LOOPBACK_NAMES, app.hub_ip, app.hub_connect_ip, connect]
    # An empty address and these are all interfaces.
    return sorted({name for name in names if name and name not in ("0.0.0.0", "::")})


def write_server_pair(
    host: Host, store: Path, directory: Path, names: Iterable[str], owner: tuple[str, str]
) -> dict[str, str]:
    """Make the certificate of a server that starts; return the variables that name its files.

    The first of `names` is that of this server only.
    """
    pair = issue_pair(read_pair(store, SERVERS_AUTHORITY), "server of a user", list(names))
    # The hub and the proxy: what may ask a server, and what a server may trust.
    trusted = b"".join(
        (store / name / f"{name}.crt").read_bytes() for name in (HUB_AUTHORITY, "proxy-client-ca")
    )
    return write_pair(host, directory, pair, trusted, owner)


@dataclass(frozen=True)
class ProxyTls:
    """How Traefik connects to the hub and to servers: with files of this directory."""

    certificate: Path
    key: Path
    hub_authority: Path
    servers_authority: Path

    @classmethod
    def write(cls, store: Path, directory: Path) -> ProxyTls:
        """Copy what Traefik needs to where it may read it.

        The names of the files follow from their content: Traefik reads a file again only when its
        name changes.
        """
        pair = read_pair(store, PROXY_CLIENT)
        hub = read_pair(store, HUB_AUTHORITY)
        servers = read_pair(store, SERVERS_AUTHORITY)
        files = cls(
            directory / f"{pair.name}.crt",
            directory / f"{pair.name}.key",
            directory / f"hub-{hub.name}.crt",
            directory / f"servers-{servers.name}.crt",
        )
        for path, content in (
            (files.certificate, pair.chain),
            (files.key, pair.key),
            (files.hub_authority, hub.chain),
            (files.servers_authority, servers.chain),
        ):
            staged = path.with_name(f".{path.name}.new")
            staged.unlink(missing_ok=True)
            # The directory is setgid, so the file has Traefik's group.
            descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                os.fchmod(descriptor, 0o640)
                stream.write(content)
            staged.replace(path)
        return files

    def remove_others(self) -> None:
        """Remove the files of certificates that were renewed."""
        used = {self.certificate, self.key, self.hub_authority, self.servers_authority}
        for path in self.certificate.parent.iterdir():
            if path not in used:
                path.unlink(missing_ok=True)

    def build_hub_transport(self) -> dict[str, Any]:
        return {
            **self._build_transport(self.hub_authority),
            "forwardingTimeouts": {"responseHeaderTimeout": f"{LONGEST_HUB_ANSWER_S}s"},
        }

    def build_server_transport(self, owner: str, server: str) -> dict[str, Any]:
        """Return the transport of one server: no other server has a certificate with its name."""
        return {
            **self._build_transport(self.servers_authority),
            "serverName": name_server(owner, server),
        }

    def _build_transport(self, authority: Path) -> dict[str, Any]:
        return {
            "rootCAs": [str(authority)],
            "certificates": [{"certFile": str(self.certificate), "keyFile": str(self.key)}],
            # As in the default transport of the static file.
            "maxIdleConnsPerHost": -1,
        }


def is_plain_needed(spawners: Iterable[Any]) -> bool:
    """Return whether a server runs that knows the hub's plain address only."""
    return any(
        spawner.server is not None and spawner.server.proto == "http"
        for spawner in spawners
        if spawner.active
    )


async def accept_either(
    connection: socket.socket,
    timeout_s: float,
    accept_tls: Callable[[], None],
    accept_plain: Callable[[], None],
) -> None:
    """Look at the first byte of a connection, and accept it as TLS or as plain HTTP."""
    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    loop.add_reader(connection.fileno(), arrived.set)
    try:
        await asyncio.wait_for(arrived.wait(), timeout_s)
        first = connection.recv(1, socket.MSG_PEEK)
    except (OSError, asyncio.TimeoutError):
        first = b""
    finally:
        loop.remove_reader(connection.fileno())
    if not first:
        connection.close()
    elif first == _TLS_START:
        accept_tls()
    else:
        accept_plain()


async def wait_until_due(paths: Paths) -> list[str]:
    """Return once certificates of the hub or the proxy end soon: the next start renews them."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        due = await asyncio.to_thread(list_due, paths.internal_ssl, get_utc_time())
        if due:
            return due


def get_transport_names(http: Mapping[str, Any]) -> set[str]:
    """Return the names of the transports that services of Traefik's configuration use."""
    balancers = (service.get("loadBalancer", {}) for service in http["services"].values())
    return {balancer.get("serversTransport", "") for balancer in balancers}
