"""Reader of the kernel's tables of TCP sockets, in this process's network namespace."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

IPV4_TABLE = Path("/proc/net/tcp")
IPV6_TABLE = Path("/proc/net/tcp6")

# States of <net/tcp_states.h>, as the tables print them.
_ESTABLISHED = "01"
_LISTEN = "0A"


@dataclass(frozen=True)
class TcpSocket:
    """One row of a table; the addresses are in the table's form (see `format_table_address`).

    `uid` is the owner's user id. It is 0 for a socket that its process has closed.
    """

    local_address: str
    remote_address: str
    state: str
    uid: int
    inode: str

    @property
    def is_listening(self) -> bool:
        return self.state == _LISTEN

    @property
    def is_established(self) -> bool:
        return self.state == _ESTABLISHED

    @property
    def local_port(self) -> int:
        return int(self.local_address.rpartition(":")[2], 16)


def format_table_address(host: str, port: int) -> str:
    """Return an IPv4 address as /proc/net/tcp writes it, such as `0100007F:1F90`."""
    # The kernel prints the four bytes, which are in network order, as one number of the machine's
    # own order. All architectures that we support are little-endian.
    number = int.from_bytes(socket.inet_aton(host), "little")
    return f"{number:08X}:{port:04X}"


def parse_sockets(table: str) -> Iterator[TcpSocket]:
    """Yield the sockets in the text of /proc/net/tcp or tcp6; the first line is a heading."""
    for row in table.splitlines()[1:]:
        fields = row.split()
        if len(fields) > 9:
            yield TcpSocket(fields[1], fields[2], fields[3], int(fields[7]), fields[9])


def read_sockets(tables: Iterable[Path] = (IPV4_TABLE, IPV6_TABLE)) -> Iterator[TcpSocket]:
    """Yield the TCP sockets of this machine, IPv4 and IPv6.

    `tables` are the kernel's files; one is missing on a machine without IPv6.
    """
    for table in tables:
        text = ""
        with contextlib.suppress(OSError):
            text = table.read_text()
        yield from parse_sockets(text)


def find_listening_sockets(ports: Iterable[int]) -> list[TcpSocket]:
    """Return the sockets that listen on one of `ports`."""
    ports = set(ports)
    return [sock for sock in read_sockets() if sock.is_listening and sock.local_port in ports]


def find_owner_processes(inodes: Iterable[str]) -> dict[str, int]:
    """Return the process id of each socket's owner, by inode.

    Sockets of processes that the caller may not inspect are missing: only root sees all.
    """
    inode_of_link = {f"socket:[{inode}]": inode for inode in inodes}
    owners: dict[str, int] = {}
    for process in Path("/proc").glob("[0-9]*") if inode_of_link else ():
        # A process may end at any time, and only its user and root may list its descriptors.
        with contextlib.suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                inode = inode_of_link.get(str(descriptor.readlink()))
                # Child processes inherit a socket: the lowest id is usually the one that opened it.
                if inode and int(process.name) < owners.get(inode, 1 << 30):
                    owners[inode] = int(process.name)
    return owners


def read_process_name(pid: int) -> str:
    """Return the name of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    except OSError:
        return ""
