"""The kernel's tables of TCP sockets, as recorded and as they are on this machine."""

from __future__ import annotations

import os
import socket

from tljh.base.tcp_sockets import (
    TcpSocket,
    find_listening_sockets,
    find_owner_processes,
    format_table_address,
    parse_sockets,
    read_process_name,
)

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23111 1
   1: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 23113 1
   2: incomplete
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue
   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 23222 1
"""  # noqa: E501


def test_rows_of_both_tables_are_parsed():
    listening, connected = parse_sockets(TCP)
    assert (listening.local_port, listening.is_listening, listening.uid) == (80, True, 0)
    assert connected == TcpSocket("0100007F:0050", "0100007F:9C40", "01", 1001, "23113")
    assert connected.is_established and not connected.is_listening
    (listening,) = parse_sockets(TCP6)
    assert (listening.local_port, listening.inode) == (443, "23222")


def test_an_address_has_the_tables_form():
    assert format_table_address("127.0.0.1", 80) == "0100007F:0050"


def test_a_listening_socket_is_found_with_its_process():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        # A connection to the port is not a listening socket of it.
        with socket.create_connection(("127.0.0.1", port)):
            (sock,) = find_listening_sockets([port])
        assert sock.uid == os.geteuid()
        assert find_owner_processes([sock.inode]) == {sock.inode: os.getpid()}
        assert read_process_name(os.getpid())
    assert find_listening_sockets([port]) == []


def test_no_process_is_searched_for_no_socket():
    assert find_owner_processes([]) == {}
    assert read_process_name(2**22 + 1) == ""
