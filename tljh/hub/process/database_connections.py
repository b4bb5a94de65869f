"""How the hub opens its database: deadlines for locks and for a server that is away.

A hub has one thread. Without deadlines, a lock of another program or a server that does not answer
would hold up every request for as long as it lasts.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

# A lock of 10 s, by a copy or by an admin's own program, is waited for: nothing is lost. Longer
# than that, requests fail.
LOCK_TIMEOUT_S = 15

CONNECT_TIMEOUT_S = 3

# Of one statement; of a server whose machine is gone, TCP itself reports nothing for minutes.
ANSWER_TIMEOUT_S = 30

# Between two attempts of a hub that starts. The longest is well below what a user notices.
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 1.0

_OPTIONS: dict[str, dict[str, Any]] = {
    "postgresql": {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "tcp_user_timeout": ANSWER_TIMEOUT_S * 1000,
        "keepalives_idle": ANSWER_TIMEOUT_S,
        "application_name": "jupyterhub",
    },
    "mysql": {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "read_timeout": ANSWER_TIMEOUT_S,
        "write_timeout": ANSWER_TIMEOUT_S,
    },
}
_LOCKS = {
    "postgresql": (f"SET lock_timeout = '{LOCK_TIMEOUT_S}s'",),
    "mysql": (
        f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}",
        f"SET SESSION lock_wait_timeout = {LOCK_TIMEOUT_S}",
    ),
    # Readers (backup, doctor, commands) do not hold up the hub's writes with the write-ahead log,
    # and a commit takes an eighth of the time.
    "sqlite": (f"PRAGMA busy_timeout = {LOCK_TIMEOUT_S * 1000}", "PRAGMA journal_mode = WAL"),
}


def use_password(password_file: str | None) -> None:
    """Use the password in a file for each connection to a server from now on.

    It is read at each connection and is in no URL, so that it is in no message.
    """
    if not password_file:
        return

    def connect(dialect: Any, _: Any, __: Any, options: dict[str, Any]) -> None:
        if dialect.name != "sqlite":
            options["password"] = read_password(dialect.name, password_file)

    event.listen(Engine, "do_connect", connect)


def prepare_connections(password_file: str) -> None:
    """Prepare each connection that this process opens from now on, those of Alembic included."""

    def connect(dialect: Any, _: Any, __: Any, options: dict[str, Any]) -> None:
        for name, value in _OPTIONS.get(dialect.name, {}).items():
            options.setdefault(name, value)

    use_password(password_file)
    event.listen(Engine, "do_connect", connect)
    event.listen(Engine, "connect", _set_timeouts)


def _set_timeouts(connection: Any, record: Any) -> None:
    is_sqlite = isinstance(connection, sqlite3.Connection)
    is_mysql = type(connection).__module__.startswith("pymysql")
    kind = "sqlite" if is_sqlite else "mysql" if is_mysql else "postgresql"
    with closing(connection.cursor()) as cursor:
        for statement in _LOCKS[kind]:
            # Another process that has the file open can prevent the change to the log.
            with suppress(sqlite3.OperationalError):
                cursor.execute(statement)
    if not is_sqlite:
        connection.commit()


def read_password(kind: str, file: str) -> str | bytes:
    """Return the password in a file, as the driver of a kind needs it."""
    text = Path(file).read_text().rstrip("\r\n")
    # PyMySQL would encode a text as Latin-1, and servers have the hash of UTF-8.
    return text.encode() if kind == "mysql" else text


def wait_for_server(url: str, on_failure: Callable[[str], None]) -> None:
    """Return once the database server answers; `on_failure` is called with each reason."""
    engine = create_engine(url, poolclass=NullPool)
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            with engine.connect():
                return
        except OperationalError as error:
            on_failure(describe(error))
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def describe(error: DBAPIError) -> str:
    """Return the words of the database, in one line and without the statement."""
    return " ".join(str(error.orig).split())
