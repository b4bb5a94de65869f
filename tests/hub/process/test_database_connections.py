"""A real hub on SQLite: its mode, the locks of others, and copies while it writes."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import pytest

from tests.hub.process.running import running_hub
from tljh.host.sqlite_file import copy_database, find_companion_files, find_damage

CONFIG = "auth:\n  type: dummy\n  DummyAuthenticator:\n    password: a-long-password\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub"), CONFIG) as hub:
        yield hub


def test_the_hub_waits_for_a_foreign_lock_of_seconds_and_loses_nothing(hub):
    locked = threading.Event()

    def lock() -> None:
        with closing(sqlite3.connect(hub.paths.hub_database, isolation_level=None)) as foreign:
            foreign.execute("BEGIN IMMEDIATE")
            locked.set()
            # Longer than the 5 s that the hub would wait by itself.
            time.sleep(6)
            foreign.execute("ROLLBACK")

    thread = threading.Thread(target=lock)
    thread.start()
    assert locked.wait(5)
    assert hub.api("POST", "users/waited").status_code == 201
    thread.join()
    assert hub.api("GET", "users/waited").ok


def test_a_copy_has_every_commit_and_is_one_file(hub, tmp_path):
    with closing(sqlite3.connect(hub.paths.hub_database)) as opened:
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    for number in range(20):
        assert hub.api("POST", f"users/copied{number}").status_code == 201
    copy = tmp_path / "copy.sqlite"
    copy_database(hub.paths.hub_database, copy)
    with closing(sqlite3.connect(copy)) as opened:
        names = {name for (name,) in opened.execute("SELECT name FROM users")}
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert {f"copied{number}" for number in range(20)} <= names
    assert find_damage(copy) is None
    assert not [path for path in find_companion_files(copy) if path.exists()]
