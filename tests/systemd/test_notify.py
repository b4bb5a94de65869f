from __future__ import annotations

import array
import os
import socket

import pytest

from tljh.systemd.notify import forget_socket, notify, store_socket, take_sockets


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield receiver


def test_outside_systemd_nothing_is_sent(monkeypatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert notify("READY=1") is False


def test_a_missing_systemd_socket_raises_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert notify("READY=1") is False


def test_lines_arrive_in_one_message(systemd):
    assert notify("READY=1", "STATUS=fine")
    assert systemd.recv(100) == b"READY=1\nSTATUS=fine"


def test_stored_socket_arrives_with_its_name(systemd):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert store_socket("1@:80", listener)
        message, control, *_ = systemd.recvmsg(100, 100)
        assert message == b"FDSTORE=1\nFDNAME=1@:80"
        (fd,) = array.array("i", control[0][2])
        with socket.socket(fileno=fd) as copy:
            assert copy.getsockname() == listener.getsockname()
    forget_socket("1@:80")
    assert systemd.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=1@:80"


def test_sockets_for_another_process_are_left_alone(monkeypatch):
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert take_sockets() == []
    assert "LISTEN_FDS" not in os.environ
