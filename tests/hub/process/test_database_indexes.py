"""Indexes of the hub's tables: added at a start, and gone before a migration."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine

from tests.databases.test_copies import FILL, run
from tests.hub.process.running import running_hub
from tljh.hub.process.database_indexes import INDEXED, PREFIX, add_indexes, drop_indexes

CONFIG = "auth:\n  type: dummy\n  DummyAuthenticator:\n    password: a-long-password\n"


def list_indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as opened:
        rows = opened.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        return {name for (name,) in rows if name.startswith(PREFIX)}


def test_a_hub_adds_the_indexes_and_uses_them(tmp_path):
    with running_hub(tmp_path, CONFIG) as hub:
        assert hub.api("GET", "users").ok
        path = hub.paths.hub_database
        assert list_indexes(path) == {f"{PREFIX}_{table}_{column}" for table, column in INDEXED}
        with closing(sqlite3.connect(path)) as opened:
            plan = opened.execute(
                "EXPLAIN QUERY PLAN SELECT * FROM spawners WHERE user_id = 1"
            ).fetchall()
        assert "tljh_ix_spawners_user_id" in str(plan)


def test_indexes_are_added_once_and_removed_without_a_trace(tmp_path):
    path = tmp_path / "hub.sqlite"
    run(FILL, f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as opened:
        before = opened.execute("SELECT * FROM sqlite_master WHERE type = 'index'").fetchall()
    for _ in range(2):
        add_indexes(engine)
    assert len(list_indexes(path)) == len(INDEXED)
    for _ in range(2):
        drop_indexes(engine)
    with closing(sqlite3.connect(path)) as opened:
        after = opened.execute("SELECT * FROM sqlite_master WHERE type = 'index'").fetchall()
    assert [row[:3] for row in after] == [row[:3] for row in before]
