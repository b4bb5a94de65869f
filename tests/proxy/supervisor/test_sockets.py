from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Iterator

import pytest

from tljh.proxy.supervisor.sockets import (
    AddressUnavailable,
    Listener,
    ListenerGroup,
    bind,
    connections_migrate,
    split_address,
)


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        (":80", ("", 80)),
        ("127.0.0.1:8099", ("127.0.0.1", 8099)),
        ("[::1]:443", ("::1", 443)),
        ("[::]:443/tcp", ("::", 443)),
    ],
)
def test_addresses_are_read_as_traefik_writes_them(address, parts):
    assert split_address(address) == parts


@pytest.fixture
def stack() -> Iterator[contextlib.ExitStack]:
    """Close at the end of a test what it has opened."""
    with contextlib.ExitStack() as stack:
        yield stack


def members(stack: contextlib.ExitStack, count: int) -> tuple[ListenerGroup, list[Listener]]:
    """Return a group of listeners on one free port of loopback."""
    group, listeners = ListenerGroup(), [bind("127.0.0.1:0")]
    listeners += [bind(f"127.0.0.1:{listeners[0].port}") for _ in range(count - 1)]
    for listener in listeners:
        stack.callback(listener.close)
        group.join(listener)
    return group, listeners


def connect(stack: contextlib.ExitStack, port: int, count: int) -> None:
    for _ in range(count):
        stack.enter_context(socket.create_connection(("127.0.0.1", port)))


def test_new_connections_go_where_they_are_steered(stack):
    group, (older, newer) = members(stack, 2)
    connect(stack, older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 0)
    group.steer_to(newer)
    connect(stack, older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 20)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_remaining_members_get_connections_after_any_has_left(stack, order):
    group, listeners = members(stack, 4)
    port = listeners[0].port
    for listener in listeners:
        # A draining Traefik has such a copy.
        stack.callback(os.close, os.dup(listener.sock.fileno()))
    for index in order[:3]:
        group.leave(listeners[index])
        for target in group.members:
            group.steer_to(target)
            before = target.waiting()
            connect(stack, port, 5)
            assert target.waiting() == before + 5


@pytest.mark.skipif(not connections_migrate(), reason="net.ipv4.tcp_migrate_req is off")
def test_what_waits_at_a_socket_that_leaves_moves_to_the_one_that_stays(stack):
    group, (older, newer) = members(stack, 2)
    connect(stack, older.port, 20)
    group.steer_to(newer)
    group.leave(older)
    assert newer.waiting() == 20


def test_address_without_a_host_listens_on_both_families(stack):
    listener = bind(":0")
    stack.callback(listener.close)
    listener.listen()
    socket.create_connection(("127.0.0.1", listener.port)).close()
    if listener.sock.family == socket.AF_INET6:
        socket.create_connection(("::1", listener.port)).close()


def test_taken_port_names_the_process_that_has_it():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(
            AddressUnavailable, match=rf"in use \(held by .*, process {os.getpid()}\)"
        ):
            bind(f"127.0.0.1:{port}")


def test_address_of_another_machine_is_refused_in_a_sentence():
    with pytest.raises(AddressUnavailable, match=r"cannot listen on 192\.0\.2\.1:80"):
        bind("192.0.2.1:80")
