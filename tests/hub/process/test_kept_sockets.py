"""Where the hub listens, and what becomes of sockets that systemd kept for another address."""

from __future__ import annotations

import socket

import pytest

from tests.hub.process.running import free_port
from tljh.hub.process import app
from tljh.hub.process.app import InheritedServer, _list_addresses


@pytest.fixture
def systemd(monkeypatch):
    """Stand in for systemd: `kept` sockets by name, of which it has copies."""
    kept: dict[str, socket.socket] = {}

    def store(name, listener):
        kept[name] = listener.dup()
        return True

    # systemd closes its copy some time after the message.
    monkeypatch.setattr(app, "forget_socket", lambda name: True)
    monkeypatch.setattr(app, "store_socket", store)
    monkeypatch.setattr(
        app, "take_sockets", lambda: [(name, sock.dup()) for name, sock in kept.items()]
    )
    yield kept
    for sock in kept.values():
        sock.close()


def listened(port, address):
    """Return the sockets of a hub that started with this address."""
    server = InheritedServer(lambda request: None)
    sockets = []
    server.add_socket = sockets.append
    server.listen(port, address)
    return sockets


def end(sockets):
    for sock in sockets:
        sock.close()


def answers(port, address="127.0.0.1"):
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex((address, port)) == 0


@pytest.mark.parametrize("before", ["127.0.0.1", "127.0.0.2", "0.0.0.0"])
@pytest.mark.parametrize("after", ["127.0.0.1", "127.0.0.2", "0.0.0.0", ""])
def test_a_changed_address_takes_over_the_port_and_loopback_always_answers(systemd, before, after):
    port = free_port()
    end(listened(port, before))
    sockets = listened(port, after)
    assert answers(port)
    assert answers(port, "127.0.0.2") == (after != "127.0.0.1")
    end(sockets)


def test_the_same_address_keeps_its_sockets(systemd):
    port = free_port()
    end(listened(port, "127.0.0.2"))
    before = {name: sock.fileno() for name, sock in systemd.items()}
    sockets = listened(port, "127.0.0.2")
    assert {name: sock.fileno() for name, sock in systemd.items()} == before
    assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.2", "127.0.0.1"]
    end(sockets)


def test_another_address_of_the_machine_is_listened_to_next_to_loopback():
    assert _list_addresses("192.0.2.7", 1) == {
        "hub": ("192.0.2.7", 1),
        "hub-loopback": ("127.0.0.1", 1),
    }
    assert _list_addresses("127.0.0.1", 1) == {"hub": ("127.0.0.1", 1)}
    assert _list_addresses("localhost", 1)["hub"][0] in ("127.0.0.1", "::1")
