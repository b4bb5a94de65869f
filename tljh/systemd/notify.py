"""Messages to systemd: readiness, status, and sockets that it keeps over a restart.

Used by Traefik's supervisor and by the hub. Standard library only.
"""

from __future__ import annotations

import array
import os
import socket
from collections.abc import Sequence

# SD_LISTEN_FDS_START: passed sockets begin after stdin, stdout and stderr.
FIRST_FD = 3


def notify(*lines: str, fds: Sequence[int] = ()) -> bool:
    """Send `KEY=value` lines to systemd; return whether systemd received them.

    Nothing is raised: a lost message must not end a service that works.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return False
    # An abstract socket, which the kernel marks with a null byte.
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
    """Have systemd keep a copy of a socket, and pass it to the restarted service as `name`.

    During the restart, connections wait in the kernel's queue instead of being refused. The unit
    needs FileDescriptorStoreMax=.
    """
    return notify("FDSTORE=1", f"FDNAME={name}", fds=[listener.fileno()])


def forget_socket(name: str) -> bool:
    """Make systemd close every socket that it keeps under `name`."""
    return notify("FDSTOREREMOVE=1", f"FDNAME={name}")


def take_sockets() -> list[tuple[str, socket.socket]]:
    """Return the sockets that systemd passed to this process, with their names.

    Removes the variables that announce them, so a second call returns nothing and a child
    process does not take them for its own. Children do not inherit the sockets.
    """
    for_pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if for_pid != str(os.getpid()) or not count.isdigit():
        return []
    sockets = []
    for offset in range(int(count)):
        fd = FIRST_FD + offset
        os.set_inheritable(fd, False)
        name = names[offset] if offset < len(names) else "unknown"
        sockets.append((name, socket.socket(fileno=fd)))
    return sockets
