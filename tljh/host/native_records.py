"""NativeAuthenticator's records of users: rows of a table in the hub's SQLite database.

The hub reads a record again for each login (`ClaimedNativeAuthenticator.get_user`), so that a
change counts at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError

TABLE = "users_info"

# Longer than any write of the hub.
BUSY_TIMEOUT_S = 10.0


def read_record(database: Path, login: str) -> dict[str, Any] | None:
    """Return the row of a login name by column; None if it has none."""
    if not database.is_file():
        return None
    try:
        with closing(_opened(database, "ro")) as opened:
            opened.row_factory = sqlite3.Row
            row = opened.execute(f"SELECT * FROM {TABLE} WHERE username = ?", (login,)).fetchone()
    except sqlite3.Error:
        # NativeAuthenticator creates the table when it is first used.
        return None
    return dict(row) if row is not None else None


def write_record(database: Path, login: str, record: Mapping[str, Any] | None) -> None:
    """Replace the row of a login name; None deletes it. Raises TljhError; then it is as before."""
    try:
        with closing(_opened(database, "rw")) as opened, opened:
            opened.execute(f"DELETE FROM {TABLE} WHERE username = ?", (login,))
            if record is not None:
                names = ", ".join(f'"{name}"' for name in record)
                marks = ", ".join("?" for _ in record)
                values = tuple(record.values())
                opened.execute(f"INSERT INTO {TABLE} ({names}) VALUES ({marks})", values)
    except sqlite3.Error as error:
        raise TljhError(f"the password of {login} cannot be written", why=str(error)) from error


def _opened(database: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S)
