"""How the hub opens its SQLite database: write-ahead log, and patience for the locks of others."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

# A lock of 10 s, by a copy or by an admin's own program, is waited for: nothing is lost. Longer
# than that, requests fail.
BUSY_TIMEOUT_MS = 15_000


def prepare_connection(connection: Any, _: object) -> None:
    """Set the write-ahead log and the timeout on a new connection, if it is one of SQLite."""
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    # Readers (backup, doctor, commands) do not hold up the hub's writes then, and a commit takes
    # an eighth of the time. Once set, it stays; a lock of another process can prevent it.
    with suppress(sqlite3.OperationalError):
        cursor.execute("PRAGMA journal_mode=WAL")
    cursor.close()


def prepare_connections() -> None:
    """Prepare each connection that this process opens from now on."""
    if not event.contains(Engine, "connect", prepare_connection):
        event.listen(Engine, "connect", prepare_connection)
