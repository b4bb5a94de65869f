"""Addresses that another program has are reported before the proxy is changed."""

from __future__ import annotations

import json
import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tljh.base.errors import Place
from tljh.host.fake import FakeHost
from tljh.host.interface import Result
from tljh.proxy.port_trial import find_unavailable_addresses

HUB = Path("/opt/tljh/hub")
USER = "nobody"
CURRENT = {"http": ":80", "auth_api": "127.0.0.1:8099"}


@pytest.fixture
def host():
    """Return a fake machine that runs the trial on the real kernel."""
    host = FakeHost()

    def ask(argv):
        done = subprocess.run([sys.executable, *argv[1:]], capture_output=True, text=True)
        return Result(done.returncode, done.stdout, done.stderr)

    host.answers[f"{HUB}/bin/python"] = ask
    return host


def place_of(section: str, key: str) -> Place:
    return Place(f"{section}.{key}")


def test_a_port_that_another_program_has_is_reported_with_its_process(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        planned = {**CURRENT, "http": f"127.0.0.1:{port}"}
        (finding,) = find_unavailable_addresses(host, HUB, USER, CURRENT, planned, place_of)
    assert f"cannot listen on 127.0.0.1:{port}" in finding.what
    assert f"process {os.getpid()}" in finding.what
    assert str(finding.where) == "http.port"


def test_a_free_port_is_no_finding_and_is_free_afterwards(host):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    planned = {**CURRENT, "https": f"127.0.0.1:{port}"}
    assert find_unavailable_addresses(host, HUB, USER, CURRENT, planned, place_of) == []
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives sockets away")
def test_a_port_that_the_proxys_user_shares_is_free_for_it(host):
    with socket.socket() as page:
        page.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        page.bind(("127.0.0.1", 0))
        os.fchown(page.fileno(), pwd.getpwnam(USER).pw_uid, -1)
        page.listen()
        planned = {**CURRENT, "https": f"127.0.0.1:{page.getsockname()[1]}"}
        assert find_unavailable_addresses(host, HUB, USER, CURRENT, planned, place_of) == []


def test_a_port_that_the_proxy_has_already_is_not_tried(host):
    host.answers = {f"{HUB}/bin/python": Result(0, json.dumps({":80": "taken"}))}
    planned = {**CURRENT, "http": "192.0.2.1:80"}
    assert find_unavailable_addresses(host, HUB, USER, CURRENT, planned, place_of) == []


def test_an_address_of_a_drop_in_is_reported_by_its_entry_point(host):
    planned = {**CURRENT, "metrics": "192.0.2.7:9100"}
    (finding,) = find_unavailable_addresses(host, HUB, USER, CURRENT, planned, place_of)
    assert "cannot listen on 192.0.2.7:9100" in finding.what
    assert finding.where is None and "metrics" in (finding.why or "")
