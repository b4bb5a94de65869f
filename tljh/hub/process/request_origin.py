"""The client address of a request, believed only if the proxy sent it.

The hub listens on loopback, where users' processes can reach it directly and send any
X-Forwarded-For header. But the other end of such a connection is a socket of this machine, and
the kernel's table of sockets has the account that owns it.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tljh.hub.process.login_throttle import Network, client_address

PROXY_ACCOUNT = "traefik"


SOCKETS = Path("/proc/net/tcp")


_ESTABLISHED = "01"


def address_of(request: Any, trusted: Sequence[Network] = ()) -> str:
    """Return the client's address for a request of the proxy, else the sending account."""
    uid = _sender(request)
    if uid is None:
        return "this machine"
    return client_address(request.headers, trusted) if uid in _trusted() else f"account {uid}"


def _trusted() -> set[int]:
    """Return the uids of root, of the proxy, and of the hub (which tests run without a proxy)."""
    try:
        return {0, os.geteuid(), pwd.getpwnam(PROXY_ACCOUNT).pw_uid}
    except KeyError:
        return {0, os.geteuid()}


def _sender(request: Any) -> int | None:
    """Return the uid at the other end of a request's connection; None if it is not known."""
    try:
        connection = request.connection.stream.socket
        sender, receiver = connection.getpeername(), connection.getsockname()
        return uid_of_sender(SOCKETS.read_text(), sender, receiver)
    except (AttributeError, OSError, ValueError):
        return None


def uid_of_sender(table: str, sender: tuple[str, int], receiver: tuple[str, int]) -> int | None:
    """Return the owner of the socket that sends to `receiver`, by the kernel's `tcp` table.

    Only established connections count: the table gives uid 0 for a socket that its process has
    closed, so any user could pass for root by closing it.
    """
    columns_of_sender = [_as_in_table(*sender), _as_in_table(*receiver), _ESTABLISHED]
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[1:4] == columns_of_sender:
            return int(columns[7])
    return None


def _as_in_table(address: str, port: int) -> str:
    # The kernel prints the four bytes as one number in the machine's byte order: little-endian
    # on all processors that tljh supports.
    number = int.from_bytes(socket.inet_aton(address), "little")
    return f"{number:08X}:{port:04X}"
