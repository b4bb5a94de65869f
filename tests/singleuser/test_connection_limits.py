"""The limits of connections in this computer's kernel, with numbers that are reached at once."""

from __future__ import annotations

import pytest

from tljh.singleuser import nftables_rules
from tljh.singleuser.nftables_rules import (
    IsolatedUser,
    VisitorLimit,
    format_addition,
    format_table,
)

from .network import (
    MACHINE,
    MACHINE_V6,
    VISITORS,
    VISITORS_V6,
    Namespace,
    needs_namespaces,
    network,
)

pytestmark = needs_namespaces

BOB, ANN = 61001, 61002
PORT = 80

# Opens connections and keeps them, then prints how many there are. Closes all; prints how many it
# can open then.
KEEP = """
import socket, sys, time
target, source, count = sys.argv[1], sys.argv[2], int(sys.argv[3])

def connect():
    try:
        return socket.create_connection((target, 80), 0.05, source_address=(source, 0))
    except OSError:
        return None

kept = list(filter(None, (connect() for _ in range(count))))
print(len(kept))
for connection in kept:
    connection.close()
deadline = time.monotonic() + 10
while not (again := connect()) and time.monotonic() < deadline:
    pass
print("again" if again else "never again")
"""

# Opens and closes connections, and prints how many there were.
OPEN_AND_CLOSE = """
import socket, sys
opened = 0
for _ in range(int(sys.argv[3])):
    try:
        socket.create_connection((sys.argv[1], 80), 0.05, source_address=(sys.argv[2], 0)).close()
        opened += 1
    except OSError:
        pass
print(opened)
"""


def load(machine: Namespace, visitors: VisitorLimit | None = None) -> None:
    script = format_table(proxy="root", api_port=8099, visitors=visitors)
    script += format_addition([IsolatedUser(BOB), IsolatedUser(ANN)])
    machine.run(["nft", "-f", "-"], stdin=script)


def keep(namespace: Namespace, source: str, *, count: int, target: str = MACHINE, uid: int = 0):
    kept, after = namespace.python(KEEP, target, source, str(count), uid=uid).split("\n")
    assert after == "again"
    return int(kept)


@pytest.fixture
def few_openings(monkeypatch):
    monkeypatch.setattr(nftables_rules, "OPENINGS_PER_SECOND", 1)
    monkeypatch.setattr(nftables_rules, "OPENINGS_AT_ONCE", 20)


def test_an_address_has_so_many_connections_and_others_are_not_affected():
    with network() as (machine, outside), machine.serving(PORT):
        load(machine, VisitorLimit((PORT, 443), 10))
        assert keep(outside, VISITORS[0], count=13) == 10
        assert keep(outside, VISITORS[1], count=9) == 9
        # The machine's own checks, and users of it, who have their own limit.
        assert keep(machine, MACHINE, count=13) == 13


def test_a_home_network_of_ipv6_counts_as_one_address():
    holder = """
    import socket, subprocess, sys
    kept = [socket.create_connection((sys.argv[1], 80), 1, source_address=(sys.argv[2], 0))
            for _ in range(10)]
    for source in sys.argv[3:]:
        try:
            socket.create_connection((sys.argv[1], 80), 0.05, source_address=(source, 0))
            print("open")
        except OSError:
            print("refused")
    """
    with network() as (machine, outside), machine.serving(PORT):
        load(machine, VisitorLimit((PORT,), 10))
        assert outside.python(holder, MACHINE_V6, *VISITORS_V6).split() == ["refused", "open"]


def test_trusted_proxies_have_no_limit():
    # Networks that overlap, as people write them.
    trusted = ("10.9.0.2", "10.9.0.2/31", "fd01::/64")
    with network() as (machine, outside), machine.serving(PORT):
        load(machine, VisitorLimit((PORT,), 10, trusted))
        assert keep(outside, VISITORS[0], count=13) == 13
        assert keep(outside, VISITORS_V6[0], count=13, target=MACHINE_V6) == 13


def test_an_address_opens_so_many_connections_in_a_second(few_openings):
    with network() as (machine, outside), machine.serving(PORT):
        load(machine, VisitorLimit((PORT,), 1000))
        assert 20 <= int(outside.python(OPEN_AND_CLOSE, MACHINE, VISITORS[0], "40")) < 30
        assert outside.python(OPEN_AND_CLOSE, MACHINE, VISITORS[1], "15") == "15"


def test_a_user_has_so_many_connections_and_others_are_not_affected(monkeypatch):
    monkeypatch.setattr(nftables_rules, "MOST_CONNECTIONS", 10)
    with network() as (machine, _), machine.serving(PORT):
        load(machine)
        assert keep(machine, MACHINE, count=13, uid=BOB) == 10
        assert keep(machine, MACHINE, count=9, uid=ANN) == 9
        assert keep(machine, MACHINE, count=13) == 13


def test_a_user_opens_so_many_connections_in_a_second(few_openings):
    with network() as (machine, _), machine.serving(PORT):
        load(machine)
        assert 20 <= int(machine.python(OPEN_AND_CLOSE, MACHINE, MACHINE, "40", uid=BOB)) < 30
        assert machine.python(OPEN_AND_CLOSE, MACHINE, MACHINE, "15", uid=ANN) == "15"
        assert machine.python(OPEN_AND_CLOSE, MACHINE, MACHINE, "40") == "40"
