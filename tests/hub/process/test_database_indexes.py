"""Indexes of the hub's tables: added at a start, and gone before a migration."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import create_engine

from tests.databases.test_copies import FILL, run
from tests.hub.process.running import running_hub
from tljh.hub.process.database_indexes import INDEXES, PREFIX, add_indexes, drop_indexes

CONFIG = "auth:\n  type: dummy\n  DummyAuthenticator:\n    password: a-long-password\n"


def list_indexes(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as opened:
        rows = opened.execute("SELECT name FROM sqlite_master WHERE type = 'index'")
        return {name for (name,) in rows if name.startswith(PREFIX)}


def test_a_hub_adds_the_indexes_and_uses_them(tmp_path):
    with running_hub(tmp_path, CONFIG) as hub:
        assert hub.api("GET", "users").ok
        path = hub.paths.hub_database
        assert list_indexes(path) == {f"{PREFIX}_{name}" for name in INDEXES}
        with closing(sqlite3.connect(path)) as opened:
            plan = opened.execute(
                "EXPLAIN QUERY PLAN SELECT * FROM spawners WHERE user_id = 1"
            ).fetchall()
            of_running = opened.execute(
                "EXPLAIN QUERY PLAN SELECT users.id FROM users JOIN spawners "
                "ON users.id = spawners.user_id WHERE spawners.server_id IS NOT NULL "
                "GROUP BY users.id"
            ).fetchall()
        assert "tljh_ix_spawners_user_id" in str(plan)
        assert "tljh_ix_spawners_running" in str(of_running)


def test_indexes_are_added_once_and_removed_without_a_trace(tmp_path):
    path = tmp_path / "hub.sqlite"
    run(FILL, f"sqlite:///{path}")
    engine = create_engine(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as opened:
        before = opened.execute("SELECT * FROM sqlite_master WHERE type = 'index'").fetchall()
    for _ in range(2):
        add_indexes(engine)
    assert len(list_indexes(path)) == len(INDEXES)
    for _ in range(2):
        drop_indexes(engine)
    with closing(sqlite3.connect(path)) as opened:
        after = opened.execute("SELECT * FROM sqlite_master WHERE type = 'index'").fetchall()
    assert [row[:3] for row in after] == [row[:3] for row in before]


def test_a_block_loads_no_related_rows_until_they_are_asked_for(tmp_path):
    url = f"sqlite:///{tmp_path}/hub.sqlite"
    run(FILL, url)
    code = """
import sys
from jupyterhub import orm
from sqlalchemy import event, inspect
from tljh.hub.process.database_indexes import lazy_relations
db = orm.new_session_factory(sys.argv[1])()
statements = []
def note(*arguments):
    if arguments[2] != "SELECT 1":
        statements.append(arguments[2])
event.listen(db.get_bind(), "before_cursor_execute", note)
with lazy_relations(db):
    users = db.query(orm.User).all()
assert len(users) == 5 and len(statements) == 1, statements
assert [group.name for group in users[0].groups] == ["Kurs"]
db.expunge_all()
statements.clear()
db.query(orm.User).all()
print(len(statements))
"""
    assert int(run(code, url)) > 1
