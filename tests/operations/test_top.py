"""What each server uses, from two looks at the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.singleuser.machine_with_servers import machine
from tljh.commands.top import UsageTable, measure
from tljh.operations.top import Moment, compare, read_moment


def two_moments() -> tuple[Moment, Moment]:
    """Return two looks, 2 s apart: alice uses one and a half processors, bob more memory."""
    before = read_moment(machine())
    alice, bob = before.servers
    servers = (
        replace(alice, cpu_s=alice.cpu_s + 3, in_use_bytes=100 << 20, tasks=7),
        replace(bob, in_use_bytes=300 << 20, tasks=3),
    )
    return before, replace(before, at_s=before.at_s + 2, servers=servers)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("cpu", ["alice", "bob"]),
        ("memory", ["bob", "alice"]),
        ("tasks", ["alice", "bob"]),
        ("user", ["alice", "bob"]),
    ],
)
def test_the_servers_that_use_most_come_first(column, expected):
    usage = compare(*two_moments(), column)
    assert [server.user for server in usage.servers] == expected
    assert usage.servers[expected.index("alice")].processors == 1.5


def test_a_server_that_started_or_restarted_meanwhile_has_used_nothing_yet():
    before, after = two_moments()
    [first, *_] = compare(replace(before, servers=()), after, "user").servers
    assert first.processors == 0
    [first, *_] = compare(after, before, "user").servers
    assert first.processors == 0


def test_the_table_names_users_and_their_limits():
    lines = UsageTable(compare(*two_moments(), "cpu")).as_text().splitlines()
    assert lines[0].startswith("2 servers; 1.50 of ")
    assert lines[1].split() == ["USER", "CPU", "LIMIT", "MEMORY", "LIMIT", "TASKS", "LIMIT"]
    assert lines[2].split()[:2] == ["alice", "1.50"]
    assert lines[2].split()[3] == "100M"


def test_a_machine_without_servers_has_its_own_line_only():
    before, after = two_moments()
    table = UsageTable(compare(before, replace(after, servers=()), "cpu"))
    assert table.as_text().startswith("0 servers; ")
    assert len(table.as_text().splitlines()) == 1


def test_it_looks_again_and_again():
    tables = measure(machine(), "cpu", 0.5)
    assert len(next(tables).usage.servers) == len(next(tables).usage.servers) == 2
