"""Logins that hang: a directory that accepts connections and never says a word."""

from __future__ import annotations

import asyncio
import socket
import time

import ldap3
import pytest
from ldapauthenticator import LDAPAuthenticator

from tljh.hub.process import login_guard as authentication
from tljh.hub.process.login_guard import guarded


@pytest.fixture
def silent_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        yield listening.getsockname()[1]


def test_a_directory_that_does_not_answer_stops_neither_starts_nor_itself(silent_port, monkeypatch):
    for cls in (ldap3.Server, ldap3.Connection):
        monkeypatch.setattr(cls, "__init__", cls.__init__)
    monkeypatch.setattr(authentication, "DIRECTORY_TIMEOUT_S", 1, raising=False)
    chosen = guarded(LDAPAuthenticator)
    authenticator = chosen(
        server_address="127.0.0.1",
        server_port=silent_port,
        tls_strategy="insecure",
        bind_dn_template=["uid={username},dc=x"],
    )

    async def everybody() -> float:
        def login(number: int):
            return authenticator.authenticate(None, {"username": f"n{number}", "password": "x"})

        # More than asyncio has threads of its own for.
        logins = [asyncio.ensure_future(login(number)) for number in range(40)]
        await asyncio.sleep(0.2)
        began_s = time.monotonic()
        await asyncio.wait_for(asyncio.to_thread(time.monotonic), 2)
        waited_s = time.monotonic() - began_s
        done = await asyncio.wait_for(asyncio.gather(*logins, return_exceptions=True), 60)
        assert all(isinstance(one, Exception) for one in done)
        return waited_s

    assert asyncio.run(everybody()) < 1
