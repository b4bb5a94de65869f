"""The client address of a request, believed only if the proxy or root sent it."""

from __future__ import annotations

import os
import socket

from tljh.base.tcp_sockets import IPV4_TABLE, parse_sockets, read_sockets
from tljh.hub.process.request_origin import find_address, find_uid_of_sender

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0100007F:3A99 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 2 1
   2: 0100007F:C001 0100007F:3A99 01 00000000:00000000 00:00000000 00000000  1001        0 3 1
   3: 0100007F:C002 0100007F:3A99 05 00000000:00000000 00:00000000 00000000     0        0 0 1
"""
HUB = ("127.0.0.1", 15001)


def test_the_account_at_the_other_end_is_the_sender():
    assert find_uid_of_sender(parse_sockets(TABLE), ("127.0.0.1", 0xC001), HUB) == 1001


def test_a_socket_that_its_process_has_closed_does_not_count_as_roots():
    assert find_uid_of_sender(parse_sockets(TABLE), ("127.0.0.1", 0xC002), HUB) is None
    assert find_uid_of_sender(parse_sockets(TABLE), ("127.0.0.1", 0xC003), HUB) is None


class Request:
    """The parts of Tornado's request that are used."""

    def __init__(self, connected: socket.socket) -> None:
        self.headers = {"X-Forwarded-For": "203.0.113.7"}
        self.connection = self.stream = self
        self.socket = connected


def test_an_address_is_believed_from_the_proxy_and_from_no_other_account(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()):
            request = Request(listening.accept()[0])
            sent = (request.socket.getpeername(), request.socket.getsockname())
            assert find_uid_of_sender(read_sockets([IPV4_TABLE]), *sent) == os.geteuid()
            assert find_address(request) == "203.0.113.7"
            monkeypatch.setattr("tljh.hub.process.request_origin._get_trusted_uids", set)
            assert find_address(request) == f"account {os.geteuid()}"
        assert find_address(request) == "this machine"
