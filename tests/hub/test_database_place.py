"""Where the hub's SQLite database may be, and what doctor says of it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.operations.test_converge import PATHS, machine
from tljh.base.errors import TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.host.interface import Result
from tljh.host.real import RealHost
from tljh.hub.database_checks import check_database, check_place
from tljh.hub.database_place import find_remote_file_system, require_room
from tljh.hub.database_resource import HubDatabase
from tljh.plugins.checks import CheckedMachine


@pytest.fixture
def host():
    host = machine()
    for directory in (PATHS.prefix, PATHS.state_dir):
        host.mkdir(directory, mode=0o755)
    return host


@pytest.mark.parametrize(
    ("magic", "name"),
    [("6969", "NFS"), ("ff534d42", "CIFS"), ("fe534d42", "SMB"), ("65735546", "FUSE")],
)
def test_a_change_is_refused_where_sqlite_would_be_damaged(host, magic, name):
    host.answers["stat -f"] = Result(0, f"{magic}\n")
    database = HubDatabase(PATHS, PATHS.prefix / "versions/hub-0123456789ab")
    with pytest.raises(TljhError, match=f"is on {name}") as refused:
        database.rehearse(host, set(), SilentProgress())
    assert "tljh db setup postgresql" in str(refused.value.findings[0].fix)
    subject = CheckedMachine(host, PATHS, None, None)
    assert [severity for severity, _ in check_database(subject)] == [Severity.BROKEN]


def test_the_file_system_of_this_machine_is_read(tmp_path):
    assert find_remote_file_system(RealHost(), tmp_path / "not" / "there" / "yet") is None


def test_a_migration_is_refused_without_room_for_its_copies(host):
    host.write(PATHS.hub_database, b"x" * 1000, mode=0o600)
    host.answers["df"] = Result(0, "Avail\n67000000\n")
    with pytest.raises(TljhError, match="no room for a copy"):
        require_room(host, PATHS.hub_database, copies=2)
    host.answers["df"] = Result(0, "Avail\n99000000\n")
    require_room(host, PATHS.hub_database, copies=2)


def test_doctor_finds_damage_in_the_database(tmp_path):
    paths = Paths(tmp_path)
    paths.state_dir.mkdir()
    subject = CheckedMachine(RealHost(), paths, None, None)
    assert not list(check_database(subject))
    make_database(paths.hub_database)
    assert not list(check_database(subject))
    with paths.hub_database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    ((severity, finding),) = check_database(subject)
    assert severity is Severity.BROKEN
    assert "damaged" in finding.what


def make_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        opened.executemany(
            "INSERT INTO users (name) VALUES (?)", [(f"u{i}" * 50,) for i in range(500)]
        )


def test_a_server_that_is_away_is_named_by_status_with_its_own_words(host):
    traits = {"JupyterHub": {"db_url": "postgresql+psycopg://hub@db.example.org/hub"}}
    host.mkdir(PATHS.applied.directory, mode=0o700)
    host.write(PATHS.applied.hub_file, json.dumps(traits).encode(), mode=0o600)
    subject = CheckedMachine(host, PATHS, None, None)
    host.answers["setpriv"] = Result(0, json.dumps({"result": {"revision": "f460b0348206"}}))
    assert not list(check_place(subject))
    host.answers["setpriv"] = Result(1, json.dumps({"problem": "connection refused"}))
    ((severity, finding),) = check_place(subject)
    assert severity is Severity.BROKEN
    assert "PostgreSQL (hub on db.example.org)" in finding.what
    assert finding.why == "connection refused"
    order = json.loads(host.stdin_of_query)
    assert order["target"]["url"] == traits["JupyterHub"]["db_url"]
