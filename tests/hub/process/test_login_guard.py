"""Logins that hang: a directory that accepts connections and never answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time

import ldap3
import pytest
from ldapauthenticator import LDAPAuthenticator

from tljh.hub.process import login_guard
from tljh.hub.process.login_guard import make_guarded_class


class SilentDirectory:
    """A server that keeps all connections and never sends a byte."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listening.getsockname()[1]
        self.connections: list[socket.socket] = []
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connections.append(self.listening.accept()[0])

    def close(self) -> None:
        # This ends the blocked accept(), which close() alone does not.
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.thread.join()
        for connection in self.connections:
            connection.close()


@pytest.fixture
def directory():
    with contextlib.closing(SilentDirectory()) as directory:
        yield directory


def test_a_directory_that_does_not_answer_stops_neither_starts_nor_itself(directory, monkeypatch):
    for cls in (ldap3.Server, ldap3.Connection):
        monkeypatch.setattr(cls, "__init__", cls.__init__)
    monkeypatch.setattr(login_guard, "DIRECTORY_TIMEOUT_S", 1)
    chosen = make_guarded_class(LDAPAuthenticator)
    authenticator = chosen(
        server_address="127.0.0.1",
        server_port=directory.port,
        tls_strategy="insecure",
        bind_dn_template=["uid={username},dc=x"],
    )

    async def log_all_in() -> float:
        def login(number: int):
            return authenticator.authenticate(None, {"username": f"n{number}", "password": "x"})

        async def all_threads_wait() -> None:
            while len(directory.connections) < login_guard.BLOCKING_THREADS:
                await asyncio.sleep(0.01)

        # More logins than asyncio has default threads.
        logins = [asyncio.ensure_future(login(number)) for number in range(40)]
        await asyncio.wait_for(all_threads_wait(), 30)
        start_s = time.monotonic()
        await asyncio.wait_for(asyncio.to_thread(time.monotonic), 2)
        waited_s = time.monotonic() - start_s
        results = await asyncio.wait_for(asyncio.gather(*logins, return_exceptions=True), 60)
        assert all(isinstance(result, Exception) for result in results)
        return waited_s

    assert asyncio.run(log_all_in()) < 1
