"""Messages to systemd: readiness, status, and sockets that are to outlive the process.

Standard library only; used by the supervisor of Traefik and by the hub.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence

FIRST_FD = 3


def notify(*lines: str, fds: Sequence[int] = ()) -> bool:
    """Send `KEY=value` lines to systemd; False where nobody listens.

    A service must not die of a message that did not arrive, so nothing is raised.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_systemd:
            to_systemd.connect(address)
            to_systemd.sendmsg(["\n".join(lines).encode()], rights)
    except OSError:
        return False
    return True


def store_socket(name: str, listener: socket.socket) -> bool:
    """Give systemd a copy of a socket, handed back under `name` after a restart of the service.

    Meanwhile connections wait in the kernel's queue instead of being refused.
    The unit needs FileDescriptorStoreMax=.
    """
    return notify("FDSTORE=1", f"FDNAME={name}", fds=[listener.fileno()])


def forget_socket(name: str) -> bool:
    """Have systemd drop every socket it stores under `name`."""
    return notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def take_sockets() -> list[tuple[str, socket.socket]]:
    """The sockets systemd passed to this process, with their names; empty the second time.

    They no longer leak into children, and the variables that announced them are removed.
    """
    for_pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if for_pid != str(os.getpid()) or not count.isdigit():
        return []
    taken = []
    for offset in range(int(count)):
        fd = FIRST_FD + offset
        os.set_inheritable(fd, False)
        name = names[offset] if offset < len(names) else "unknown"
        taken.append((name, socket.socket(fileno=fd)))
    return taken
