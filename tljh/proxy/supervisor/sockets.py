"""Listening sockets that pass from one Traefik process to the next without losing a connection.

Sockets bound to one address with SO_REUSEPORT form a group in the kernel. A one-instruction
BPF program on the group names the member that gets new connections, so that they can be moved
from the old socket to the new one in a single system call.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import pwd
import socket
import struct
from pathlib import Path

BACKLOG = 4096


# <asm-generic/socket.h>; Python's socket module does not name it.
SO_ATTACH_REUSEPORT_CBPF = 51


BPF_RETURN_CONSTANT = 0x06


TCP_INFO_SIZE_BYTES = 104


# In tcp_info of a listening socket, tcpi_unacked is the length of the accept queue.
TCP_INFO_UNACKED_OFFSET = 24


class Unavailable(Exception):
    """An address that cannot be listened on; the text says why and who has it."""


class Listener:
    """One listening socket, and the name systemd stores it under, where it does."""

    def __init__(self, address: str, sock: socket.socket, stored_as: str | None = None) -> None:
        self.address = address
        self.sock = sock
        self.stored_as = stored_as

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    def listen(self) -> None:
        self.sock.listen(BACKLOG)

    def steer(self, member: int) -> None:
        """Send the new connections of this socket's group to one of its members, by index."""
        instruction = array.array("B", struct.pack("HBBI", BPF_RETURN_CONSTANT, 0, 0, member))
        program = struct.pack("HP", 1, instruction.buffer_info()[0])
        self.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)

    def waiting(self) -> int:
        """How many connections are established and not yet accepted."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE_BYTES)
        return int(struct.unpack_from("I", info, TCP_INFO_UNACKED_OFFSET)[0])

    def close(self) -> None:
        """Leave the group at once, even while another process holds a copy of the socket."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class ListenerGroup:
    """The sockets that listen on one address, in the order in which the kernel counts them."""

    def __init__(self) -> None:
        self.members: list[Listener] = []
        self.target: Listener | None = None

    def join(self, listener: Listener) -> None:
        """Listen, without a connection until it is steered to, unless it is alone."""
        if self.members:
            # Or the kernel would deal new connections out among all members.
            self._steer()
        listener.listen()
        self.members.append(listener)
        if len(self.members) == 1:
            self.steer_to(listener)

    def steer_to(self, listener: Listener) -> None:
        self.target = listener
        self._steer()

    def leave(self, listener: Listener) -> None:
        """Close a socket; what waits there moves to the others (`connections_migrate`)."""
        listener.close()
        if listener not in self.members:
            return
        # As the kernel does it: the last member takes the place of the one that goes. Until
        # the next line, an index that is gone means any member, and each still accepts.
        at = self.members.index(listener)
        self.members[at] = self.members[-1]
        self.members.pop()
        if self.target in self.members:
            self._steer()

    def _steer(self) -> None:
        assert self.target is not None
        self.target.steer(self.members.index(self.target))


def connections_migrate() -> bool:
    """Whether the kernel moves the waiting connections of a socket that closes to its group.

    A setting of Linux 5.14 and newer, which the unit switches on.
    """
    try:
        return Path("/proc/sys/net/ipv4/tcp_migrate_req").read_text().strip() != "0"
    except OSError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Host and port of an entry point's address as Traefik writes it; the host may be empty."""
    bare = address.removesuffix("/tcp")
    host, colon, port = bare.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not an address of the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(address: str, owner: int | None = None) -> Listener:
    """A socket on `address` that does not listen yet. Raises Unavailable.

    Only sockets of one owner share a port; `owner` is a user id other than our own.
    """
    try:
        host, port = split_address(address)
        return Listener(address, _bound(host, port, owner))
    except ValueError as problem:
        raise Unavailable(str(problem)) from problem
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        if problem.errno == errno.EADDRINUSE:
            reason += _held_by(split_address(address)[1])
        raise Unavailable(f"cannot listen on {address}: {reason.lower()}") from problem


def _bound(host: str, port: int, owner: int | None) -> socket.socket:
    if host in ("", "::", "0.0.0.0"):
        # Like Go: an unspecified address means IPv4 and IPv6, on one socket.
        try:
            return _socket(socket.AF_INET6, "::", port, owner)
        except OSError as problem:
            if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            return _socket(socket.AF_INET, "0.0.0.0", port, owner)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, *_, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return _socket(family, str(where[0]), port, owner)


def _socket(family: int, host: str, port: int, owner: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if owner is not None:
            os.fchown(sock.fileno(), owner, -1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            dual = host == "::"
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if dual else 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _held_by(port: int) -> str:
    """Who listens on a port, as far as this process may see: ` (held by …)`, or nothing."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                fields = row.split()
                # 0A is LISTEN; the port is in hexadecimal after the last colon.
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    return f" (held by {_process_of(fields[9], int(fields[7]))})"
    return ""


def _process_of(inode: str, uid: int) -> str:
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            for fd in (directory / "fd").iterdir():
                if str(fd.readlink()) == f"socket:[{inode}]":
                    name = (directory / "comm").read_text().strip()
                    return f"{name}, process {directory.name}"
    try:
        return f"a process of user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"a process of user id {uid}"
