"""Who on this machine sent a request, and whether to believe where they say it came from.

The hub listens on loopback, where people's own processes reach it past the proxy. The kernel knows
whose a connection is: its other end is a socket of this machine, too.
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
    """Where a request of Tornado's came from, by the word of our proxy or by its sender."""
    uid = _sender(request)
    if uid is None:
        return "this machine"
    return client_address(request.headers, trusted) if uid in _believed() else f"account {uid}"


def _believed() -> set[int]:
    """Root, the proxy, and ourselves where the hub is tried without them."""
    try:
        return {0, os.geteuid(), pwd.getpwnam(PROXY_ACCOUNT).pw_uid}
    except KeyError:
        return {0, os.geteuid()}


def _sender(request: Any) -> int | None:
    """The account at the other end of a request's connection; None if that is not known."""
    try:
        here = request.connection.stream.socket
        return uid_of_sender(SOCKETS.read_text(), here.getpeername(), here.getsockname())
    except (AttributeError, OSError, ValueError):
        return None


def uid_of_sender(table: str, sender: tuple[str, int], receiver: tuple[str, int]) -> int | None:
    """Whose socket sends from `sender` to `receiver`, by the kernel's table of IPv4 sockets.

    One that its process has closed already is root's by that table, so only open ones count.
    """
    wanted = [_as_in_table(*sender), _as_in_table(*receiver), _ESTABLISHED]
    for line in table.splitlines()[1:]:
        columns = line.split()
        if columns[1:4] == wanted:
            return int(columns[7])
    return None


def _as_in_table(address: str, port: int) -> str:
    # Its four bytes as a number of this machine's.
    number = int.from_bytes(socket.inet_aton(address), "little")
    return f"{number:08X}:{port:04X}"
