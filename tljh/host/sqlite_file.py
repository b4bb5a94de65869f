"""The hub's database as a file: which schema it has, and whole copies of it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tljh.host.fsync import flush

# The table in which alembic keeps the revision of a schema.
_REVISION = "SELECT version_num FROM alembic_version"


def schema_of(path: Path) -> str | None:
    """The revision of a database; empty for one without a mark, None where nothing is stored."""
    if not path.is_file():
        return None
    # The second way is for what a killed hub left: to be read in order, it has to be mended
    # first, which is not a reader's business.
    for way in ("mode=ro", "immutable=1"):
        try:
            return _schema(f"{path.as_uri()}?{way}")
        except sqlite3.Error:
            continue
    # No database, then: the hub has to say so.
    return None


def _schema(uri: str) -> str | None:
    with closing(sqlite3.connect(uri, uri=True)) as opened:
        tables = {name for (name,) in opened.execute("SELECT name FROM sqlite_master")}
        if "alembic_version" not in tables:
            return "" if "users" in tables else None
        found = opened.execute(_REVISION).fetchone()
        return str(found[0]) if found else ""


def copy_database(source: Path, target: Path) -> None:
    """Copy a database that nobody writes to; `target` exists only once it is whole."""
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    # Not as a file: what a killed hub had begun must not count in the copy either.
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(partial)) as new:
        old.backup(new)
    flush(partial)
    partial.replace(target)
    flush(target.parent)


def beside(path: Path) -> list[Path]:
    """What sqlite may leave beside a database; it would spoil another one in its place."""
    return [path.with_name(path.name + ending) for ending in ("-journal", "-wal", "-shm")]


def put_back_database(copy: Path, path: Path) -> None:
    """Put a copy where it came from; done when the copy is gone, so twice is once."""
    if not copy.is_file():
        copy.with_name(f"{copy.name}.partial").unlink(missing_ok=True)
        return
    for other in beside(path):
        other.unlink(missing_ok=True)
    copy.replace(path)
    flush(path.parent)
