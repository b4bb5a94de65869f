"""Servers of both kinds, one each for all tests of this folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases.servers import Server, make_server


def _run(kind: str) -> Iterator[Server]:
    # Short, as the path of a socket has to be, and open to the accounts of the servers.
    base = Path(tempfile.mkdtemp(prefix="tljh-db-", dir="/tmp"))
    base.chmod(0o755)
    try:
        server = make_server(kind, base / kind[:2])
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    yield from _run("postgresql")


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    yield from _run("mysql")


@pytest.fixture(params=["postgresql", "mariadb"])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server
