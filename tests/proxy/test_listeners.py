from __future__ import annotations

import os
import socket

import pytest

from tljh.proxy.listeners import NEWER, OLDER, Unavailable, bind, split_address


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
def pair():
    older = bind("127.0.0.1:0")
    older.listen()
    newer = bind(f"127.0.0.1:{older.port}")
    older.steer(OLDER)
    newer.listen()
    yield older, newer
    older.close()
    newer.close()


def connect(port: int, count: int) -> list[socket.socket]:
    return [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]


def test_new_connections_go_where_they_are_steered(pair):
    older, newer = pair
    held = connect(older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 0)
    newer.steer(NEWER)
    held += connect(older.port, 20)
    assert (older.waiting(), newer.waiting()) == (20, 20)
    for connection in held:
        connection.close()


def test_socket_that_closes_leaves_its_place_to_the_other(pair):
    older, newer = pair
    newer.steer(NEWER)
    port = older.port
    copy = os.dup(older.sock.fileno())  # as a draining Traefik holds one
    older.close()
    newer.steer(OLDER)
    held = connect(port, 20)
    assert newer.waiting() == 20
    os.close(copy)
    for connection in held:
        connection.close()


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
