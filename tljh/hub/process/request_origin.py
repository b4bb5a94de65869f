"""The client address of a request, believed only if the proxy sent it.

The hub listens on loopback, where users' processes can reach it directly and send any
X-Forwarded-For header. But the other end of such a connection is a socket of this machine, and
the kernel's table of sockets has the account that owns it.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Sequence
from typing import Any

from tljh.base.tcp_sockets import IPV4_TABLE, TcpSocket, format_table_address, read_sockets
from tljh.hub.process.login_throttle import Network, find_client_address

PROXY_ACCOUNT = "traefik"


def find_address(request: Any, trusted: Sequence[Network] = ()) -> str:
    """Return the client's address, if Traefik sent the request; else the sender's user id."""
    uid = _find_sender(request)
    if uid is None:
        return "this machine"
    return (
        find_client_address(request.headers, trusted)
        if uid in _get_trusted_uids()
        else f"account {uid}"
    )


def is_from_proxy(request: Any) -> bool:
    """Return whether the proxy sent the request, not a user's process on this machine."""
    return _find_sender(request) in _get_trusted_uids()


def _get_trusted_uids() -> set[int]:
    """Return the uids of root, of the proxy, and of the hub (which tests run without a proxy)."""
    try:
        return {0, os.geteuid(), pwd.getpwnam(PROXY_ACCOUNT).pw_uid}
    except KeyError:
        return {0, os.geteuid()}


def _find_sender(request: Any) -> int | None:
    """Return the uid at the other end of a request's connection; None if it is not known."""
    try:
        connection = request.connection.stream.socket
        sender, receiver = connection.getpeername(), connection.getsockname()
        return find_uid_of_sender(read_sockets([IPV4_TABLE]), sender, receiver)
    except (AttributeError, OSError, ValueError):
        return None


def find_uid_of_sender(
    sockets: Iterable[TcpSocket], sender: tuple[str, int], receiver: tuple[str, int]
) -> int | None:
    """Return the user id of the process that sends from `sender` to `receiver`, if known.

    Only established connections count: the kernel reports uid 0 for a socket that its process has
    closed, so any user could pass for root by closing it.
    """
    addresses = (format_table_address(*sender), format_table_address(*receiver))
    for sock in sockets:
        if (sock.local_address, sock.remote_address) == addresses and sock.is_established:
            return sock.uid
    return None
