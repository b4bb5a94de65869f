"""Which servers run, and with which limits."""

from __future__ import annotations

from tests.singleuser.machine_with_servers import machine
from tljh.singleuser.running_servers import find_running_servers


def test_only_servers_of_the_slice_that_run_are_looked_at():
    servers = find_running_servers(machine())
    assert [server.unit for server in servers] == ["jupyter-alice.service", "jupyter-bob.service"]
    assert [server.account for server in servers] == ["jupyter-alice", "jupyter-bob"]
