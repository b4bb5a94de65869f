"""Listening sockets between which new connections can be switched without losing one.

Sockets bound to one address with SO_REUSEPORT form a group in the kernel. A BPF program of one
instruction, attached to the group, names the member that gets new connections. Attaching another
program switches them from the old socket to the new one in a single system call.
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

from tljh.base.tcp_sockets import (
    TcpSocket,
    find_listening_sockets,
    find_owner_processes,
    read_process_name,
)

BACKLOG = 4096


# From <asm-generic/socket.h>; Python's socket module does not have it.
SO_ATTACH_REUSEPORT_CBPF = 51


BPF_RETURN_CONSTANT = 0x06


TCP_INFO_SIZE_BYTES = 104


# In tcp_info of a listening socket, tcpi_unacked is the length of the accept queue.
TCP_INFO_UNACKED_OFFSET = 24


class AddressUnavailable(Exception):
    """An address on which nothing can listen; the text names the reason and the program there."""


class Listener:
    """One listening socket, and its name in systemd's store if it is there."""

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
        """Send the new connections of this socket's port to the group's socket number `member`."""
        instruction = array.array("B", struct.pack("HBBI", BPF_RETURN_CONSTANT, 0, 0, member))
        program = struct.pack("HP", 1, instruction.buffer_info()[0])
        self.sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, program)

    def waiting(self) -> int:
        """Return the number of connections that are established and not yet accepted."""
        info = self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE_BYTES)
        return int(struct.unpack_from("I", info, TCP_INFO_UNACKED_OFFSET)[0])

    def close(self) -> None:
        """Close the socket, and stop listening even if another process has a copy of it."""
        # A close alone has no effect until the last copy is closed; a draining Traefik has one.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


class ListenerGroup:
    """The sockets that listen on one address, in the kernel's order.

    `members` must have the same order as the group in the kernel: the BPF program names a member by
    its index.
    """

    def __init__(self) -> None:
        self.members: list[Listener] = []
        self.target: Listener | None = None

    def join(self, listener: Listener) -> None:
        """Listen on a socket; it gets no connection before `steer_to`, unless it is alone."""
        if self.members:
            # Without a program the kernel distributes new connections over all members.
            self._steer()
        listener.listen()
        self.members.append(listener)
        if len(self.members) == 1:
            self.steer_to(listener)

    def steer_to(self, listener: Listener) -> None:
        """Send all new connections of the address to this socket."""
        self.target = listener
        self._steer()

    def leave(self, listener: Listener) -> None:
        """Close a socket; its waiting connections move to the group (`connections_migrate`)."""
        listener.close()
        if listener not in self.members:
            return
        # Like the kernel: the last member moves to the index of the one that leaves. Until the
        # program is attached again, it may name an index that no longer exists. The kernel then
        # chooses any member, which does no harm, as all members still accept connections.
        index = self.members.index(listener)
        self.members[index] = self.members[-1]
        self.members.pop()
        if self.target in self.members:
            self._steer()

    def _steer(self) -> None:
        assert self.target is not None
        self.target.steer(self.members.index(self.target))


def connections_migrate() -> bool:
    """Return whether the kernel moves waiting connections of a closed socket to its group.

    It is a setting of Linux 5.14 and newer, which the unit switches on.
    """
    try:
        return Path("/proc/sys/net/ipv4/tcp_migrate_req").read_text().strip() != "0"
    except OSError:
        return False


def split_address(address: str) -> tuple[str, int]:
    """Split an entry point's address, as Traefik writes it, into host (may be empty) and port.

    Raises ValueError for any other text.
    """
    bare = address.removesuffix("/tcp")
    host, colon, port = bare.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{address!r} is not an address of the form host:port")
    return host.removeprefix("[").removesuffix("]"), int(port)


def bind(address: str, owner: int | None = None) -> Listener:
    """Bind a socket that does not listen yet. Raises AddressUnavailable.

    The kernel lets only sockets of one user share a port; `owner` is the user id to bind for, if it
    is not that of this process.
    """
    try:
        host, port = split_address(address)
        return Listener(address, _bind_any_family(host, port, owner))
    except ValueError as problem:
        raise AddressUnavailable(str(problem)) from problem
    except OSError as problem:
        reason = os.strerror(problem.errno) if problem.errno else str(problem)
        if problem.errno == errno.EADDRINUSE:
            reason += _find_holder(split_address(address)[1])
        raise AddressUnavailable(f"cannot listen on {address}: {reason.lower()}") from problem


def _bind_any_family(host: str, port: int, owner: int | None) -> socket.socket:
    if host in ("", "::", "0.0.0.0"):
        # Like Go: an unspecified address means IPv4 and IPv6, on one socket.
        try:
            return _bind(socket.AF_INET6, "::", port, owner)
        except OSError as problem:
            if problem.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                raise
            return _bind(socket.AF_INET, "0.0.0.0", port, owner)
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # Of a name with addresses of both families, the IPv4 address.
    family, *_, sock_address = min(entries, key=lambda entry: entry[0] != socket.AF_INET)
    return _bind(family, str(sock_address[0]), port, owner)


def _bind(family: int, host: str, port: int, owner: int | None) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if owner is not None:
            os.fchown(sock.fileno(), owner, -1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            is_dual = host == "::"
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if is_dual else 1)
        sock.bind((host, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _find_holder(port: int) -> str:
    """Return ` (held by …)` for the program that listens on a port, or an empty text.

    An unprivileged process learns only the user of a program that is not its own.
    """
    for sock in find_listening_sockets([port]):
        return f" (held by {_describe_owner(sock)})"
    return ""


def _describe_owner(sock: TcpSocket) -> str:
    pid = find_owner_processes([sock.inode]).get(sock.inode)
    if pid is not None:
        return f"{read_process_name(pid)}, process {pid}"
    try:
        return f"a process of user {pwd.getpwuid(sock.uid).pw_name}"
    except KeyError:
        return f"a process of user id {sock.uid}"
