from __future__ import annotations

import itertools
import os
import socket

import pytest

from tljh.proxy.supervisor.sockets import (
    ListenerGroup,
    Unavailable,
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


def connect(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def test_new_connections_go_where_they_are_steered():
    group, older = ListenerGroup(), bind("127.0.0.1:0")
    group.join(older)
    newer = bind(f"127.0.0.1:{older.port}")
    group.join(newer)
    held = connect(older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 0)
    group.steer_to(newer)
    held += connect(older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 20)
    for end in (*held, older, newer):
        end.close()


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::3])
def test_whoever_leaves_the_others_are_still_found(order):
    group, first = ListenerGroup(), bind("127.0.0.1:0")
    port = first.port
    members = [first, *(bind(f"127.0.0.1:{port}") for _ in range(3))]
    for member in members:
        group.join(member)
    copies = [os.dup(member.sock.fileno()) for member in members]  # as draining Traefiks hold
    held: list[socket.socket] = []
    for gone in order[:3]:
        group.leave(members[gone])
        for target in group.members:
            group.steer_to(target)
            before = target.waiting()
            held += connect(port, 5)
            assert target.waiting() == before + 5
    for end in (*held, *members):
        end.close()
    for copy in copies:
        os.close(copy)


@pytest.mark.skipif(not connections_migrate(), reason="net.ipv4.tcp_migrate_req is off")
def test_what_waits_at_a_socket_that_leaves_moves_to_the_one_that_stays():
    group, older = ListenerGroup(), bind("127.0.0.1:0")
    group.join(older)
    newer = bind(f"127.0.0.1:{older.port}")
    group.join(newer)
    held = connect(older.port, 20)
    group.steer_to(newer)
    group.leave(older)
    assert newer.waiting() == 20
    for end in (*held, newer):
        end.close()


def test_address_without_a_host_listens_on_both_families():
    listener = bind(":0")
    listener.listen()
    socket.create_connection(("127.0.0.1", listener.port)).close()
    if listener.sock.family == socket.AF_INET6:
        socket.create_connection(("::1", listener.port)).close()
    listener.close()


def test_taken_port_names_the_process_that_has_it():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"in use \(held by .*, process {os.getpid()}\)"):
            bind(f"127.0.0.1:{port}")


def test_address_of_another_machine_is_refused_in_a_sentence():
    with pytest.raises(Unavailable, match=r"cannot listen on 192\.0\.2\.1:80"):
        bind("192.0.2.1:80")
