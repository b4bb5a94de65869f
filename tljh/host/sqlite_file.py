"""The hub's SQLite database as a file: its schema revision, and consistent copies."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tljh.host.fsync import flush

# alembic stores the revision of a schema in this table.
_REVISION_QUERY = "SELECT version_num FROM alembic_version"


def read_schema(path: Path) -> str | None:
    """Return the schema revision that Alembic recorded in the hub's database.

    It is empty if none is recorded, and None for a missing file, for one that is not a database,
    and for one without a table of users.
    """
    if not path.is_file():
        return None
    # A killed hub may leave a journal that SQLite would have to roll back, which a read-only
    # connection cannot do. Then read the file as it is, without the journal.
    for mode in ("mode=ro", "immutable=1"):
        try:
            return _read_schema(f"{path.as_uri()}?{mode}")
        except sqlite3.Error:
            continue
    # Not a database: the hub reports that when it starts.
    return None


def _read_schema(uri: str) -> str | None:
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return "" if "users" in tables else None
        row = connection.execute(_REVISION_QUERY).fetchone()
        return str(row[0]) if row else ""


def read_user_names(path: Path) -> frozenset[str]:
    """Return the names of the hub's users in a database; empty if it cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return frozenset(str(name) for (name,) in connection.execute("SELECT name FROM users"))
    except sqlite3.Error:
        return frozenset()


def copy_database(source: Path, target: Path) -> None:
    """Copy a database, consistently also while the hub writes to it.

    `target` appears only when it is complete.
    """
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # By SQLite's backup, not as a file: it applies or drops a transaction that a killed hub left.
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(partial)) as new:
        old.backup(new)
        # The hub's own is in WAL mode, which the copy has from it: a copy is one file.
        new.execute("PRAGMA journal_mode=DELETE")
    flush(partial)
    partial.replace(target)
    flush(target.parent)


def find_companion_files(path: Path) -> list[Path]:
    """Return the paths of SQLite's journals of a database.

    They must be removed when the database is replaced: SQLite would apply them to the new one.
    """
    return [path.with_name(path.name + ending) for ending in ("-journal", "-wal", "-shm")]


def restore_database(copy: Path, path: Path) -> None:
    """Move a copy of a database to the database's place.

    A second call does nothing, because the copy is gone.
    """
    if not copy.is_file():
        copy.with_name(f"{copy.name}.partial").unlink(missing_ok=True)
        return
    # Before the replacement: a crash between both leaves the old database without its journals,
    # and the copy, from which the next call continues.
    for other in find_companion_files(path):
        other.unlink(missing_ok=True)
    copy.replace(path)
    flush(path.parent)


def find_damage(path: Path) -> str | None:
    """Return what SQLite's own check finds wrong with a database; None if it is whole."""
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            rows = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        return str(error)
    return None if rows == ["ok"] else "; ".join(rows)
