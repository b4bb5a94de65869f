"""The history of the machine's use: one bounded file of SQLite, which only root reads.

A timer adds a sample every few minutes; what is older than the history's length goes.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from tljh.base.errors import TljhError
from tljh.host.sqlite_file import find_companion_files

# 128 MiB of pages of 4 KiB: 31 days of 10,000 users a day take a third of it.
MOST_PAGES = 32_768
BUSY_TIMEOUT_S = 10.0
# An account that is missing for so long does not come back: a directory service may be away.
FORGOTTEN_AFTER_S = 86_400

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sample (
    time_s INTEGER PRIMARY KEY, covered_s INTEGER, is_hub_up INTEGER, servers INTEGER,
    server_bytes INTEGER, used_bytes INTEGER, memory_bytes INTEGER,
    used_processors REAL, processors INTEGER
);
CREATE TABLE IF NOT EXISTS person (
    id INTEGER PRIMARY KEY, login TEXT UNIQUE, account TEXT, missing_since INTEGER
);
CREATE TABLE IF NOT EXISTS user_day (
    day TEXT, person INTEGER, running_s INTEGER, peak_bytes INTEGER, cpu_s REAL,
    starts INTEGER, failed_starts INTEGER, kills INTEGER, PRIMARY KEY (day, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS home (
    day TEXT, person INTEGER, size_bytes INTEGER, PRIMARY KEY (day, person)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS disk (
    day TEXT, mount TEXT, used_bytes INTEGER, size_bytes INTEGER, PRIMARY KEY (day, mount)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (id INTEGER PRIMARY KEY CHECK (id = 1), value TEXT);
"""


class HistoryDamaged(TljhError):
    """The file was none of SQLite's, and is removed: the next sample begins a new history."""


@dataclass(frozen=True)
class UsageSample:
    """What was measured at one time (Unix seconds), for the `covered_s` seconds before it.

    Memory of servers is the highest that the kernel saw meanwhile, where it says so; processors
    are the average, 1.5 for one and a half of them.
    """

    time_s: int
    covered_s: int
    is_hub_up: bool
    servers: int
    server_bytes: int
    used_bytes: int
    memory_bytes: int
    used_processors: float
    processors: int


@dataclass(frozen=True)
class UserDay:
    """What one user used on one day (local date); a removed user has a number for a name."""

    day: str
    user: str
    running_s: int = 0
    peak_bytes: int = 0
    cpu_s: float = 0.0
    starts: int = 0
    failed_starts: int = 0
    kills: int = 0


@dataclass(frozen=True)
class HomeSize:
    """The size of a user's home as measured on a day; only days on which it changed are kept."""

    day: str
    user: str
    size_bytes: int


@dataclass(frozen=True)
class DiskUse:
    """How full a file system was at the end of a day."""

    day: str
    mount: str
    used_bytes: int
    size_bytes: int


@dataclass(frozen=True)
class UsageRecord:
    """All that is kept, oldest first."""

    samples: tuple[UsageSample, ...] = ()
    user_days: tuple[UserDay, ...] = ()
    homes: tuple[HomeSize, ...] = ()
    disks: tuple[DiskUse, ...] = ()


class UsageHistory:
    """An open history; each method is one transaction, so a killed one leaves nothing half."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def read_counters(self) -> dict[str, Any]:
        """Return what the last sample left for the next one; empty before the first."""
        row = self._connection.execute("SELECT value FROM counters").fetchone()
        return dict(json.loads(row[0])) if row else {}

    def add(
        self,
        sample: UsageSample,
        user_days: Sequence[UserDay],
        disks: Sequence[DiskUse],
        accounts: Mapping[str, str],
        counters: Mapping[str, Any],
    ) -> None:
        """Add a sample and what users used since the last one; `accounts` are by login name."""
        with self._connection as connection:
            connection.execute(_insert("sample", UsageSample), astuple(sample))
            for each in user_days:
                person = self._number(each.user, accounts.get(each.user))
                connection.execute(
                    "INSERT INTO user_day VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT (day, person) DO UPDATE SET"
                    " running_s = running_s + excluded.running_s,"
                    " peak_bytes = max(peak_bytes, excluded.peak_bytes),"
                    " cpu_s = cpu_s + excluded.cpu_s, starts = starts + excluded.starts,"
                    " failed_starts = failed_starts + excluded.failed_starts,"
                    " kills = kills + excluded.kills",
                    (each.day, person, *astuple(each)[2:]),
                )
            connection.executemany(_insert("disk", DiskUse), map(astuple, disks))
            value = json.dumps(counters)
            connection.execute("INSERT OR REPLACE INTO counters VALUES (1, ?)", (value,))

    def add_homes(self, day: str, sizes: Mapping[str, int], accounts: Mapping[str, str]) -> None:
        """Add the sizes of homes by login name, where they are not as at the last measurement."""
        with self._connection as connection:
            for login, size_bytes in sizes.items():
                person = self._number(login, accounts.get(login))
                last = connection.execute(
                    "SELECT size_bytes FROM home WHERE person = ? ORDER BY day DESC", (person,)
                ).fetchone()
                if last is None or last[0] != size_bytes:
                    connection.execute(
                        "INSERT OR REPLACE INTO home VALUES (?, ?, ?)", (day, person, size_bytes)
                    )

    def _number(self, login: str, account: str | None) -> int:
        connection = self._connection
        connection.execute(
            "INSERT INTO person (login, account) VALUES (?, ?)"
            " ON CONFLICT (login) DO UPDATE SET account = coalesce(excluded.account, account)",
            (login, account),
        )
        row = connection.execute("SELECT id FROM person WHERE login = ?", (login,)).fetchone()
        return int(row[0])

    def forget_missing(self, accounts: frozenset[str], time_s: int) -> None:
        """Forget the names of users whose account is missing for a day; their numbers stay."""
        with self._connection as connection:
            rows = connection.execute("SELECT id, account, missing_since FROM person").fetchall()
            for number, account, since in rows:
                if account is None or account in accounts:
                    connection.execute(
                        "UPDATE person SET missing_since = NULL WHERE id = ?", (number,)
                    )
                elif since is None or since > time_s:
                    connection.execute(
                        "UPDATE person SET missing_since = ? WHERE id = ?", (time_s, number)
                    )
                elif time_s - since >= FORGOTTEN_AFTER_S:
                    connection.execute(
                        "UPDATE person SET login = NULL, account = NULL WHERE id = ?", (number,)
                    )
                    connection.execute("DELETE FROM home WHERE person = ?", (number,))

    def prune(self, first_at: int, first_day: str) -> None:
        """Delete what is older; the last size of each home stays, and pages are used again."""
        with self._connection as connection:
            connection.execute("DELETE FROM sample WHERE time_s < ?", (first_at,))
            for table in ("user_day", "disk"):
                connection.execute(f"DELETE FROM {table} WHERE day < ?", (first_day,))
            connection.execute(
                "DELETE FROM home WHERE day < ? AND day < (SELECT max(later.day) FROM home later"
                " WHERE later.person = home.person AND later.day <= ?)",
                (first_day, first_day),
            )
            connection.execute(
                "DELETE FROM person WHERE id NOT IN (SELECT person FROM user_day)"
                " AND id NOT IN (SELECT person FROM home)"
            )

    def read(self) -> UsageRecord:
        """Return all that is kept."""
        name = "coalesce(login, '#' || id)"
        joined = "JOIN person ON person.id = person"
        connection = self._connection
        return UsageRecord(
            tuple(
                UsageSample(time_s, covered_s, bool(is_hub_up), *numbers)
                for time_s, covered_s, is_hub_up, *numbers in connection.execute(
                    "SELECT * FROM sample ORDER BY time_s"
                )
            ),
            tuple(
                UserDay(*row)
                for row in connection.execute(
                    f"SELECT day, {name}, running_s, peak_bytes, cpu_s, starts, failed_starts,"
                    f" kills FROM user_day {joined} ORDER BY day, id"
                )
            ),
            tuple(
                HomeSize(*row)
                for row in connection.execute(
                    f"SELECT day, {name}, size_bytes FROM home {joined} ORDER BY day, id"
                )
            ),
            tuple(
                DiskUse(*row)
                for row in connection.execute("SELECT * FROM disk ORDER BY day, mount")
            ),
        )


def _insert(table: str, row: type) -> str:
    marks = ", ".join("?" for _ in fields(row))
    return f"INSERT OR REPLACE INTO {table} VALUES ({marks})"


@contextmanager
def open_history(path: Path) -> Iterator[UsageHistory]:
    """Open the history for the timer, and make it if it is missing; a damaged one is replaced.

    Raises HistoryDamaged once for a damaged one, and TljhError if the disk is full or another
    process holds the file.
    """
    try:
        with _connect(path) as history:
            yield history
    except sqlite3.OperationalError as error:
        raise TljhError(f"the history of use cannot be written: {path}", why=str(error)) from error
    except sqlite3.DatabaseError as error:
        # Its subclasses are mistakes of ours; this class alone is a file that is none of SQLite's.
        if type(error) is not sqlite3.DatabaseError:
            raise
        for each in (path, *find_companion_files(path)):
            each.unlink(missing_ok=True)
        raise HistoryDamaged(
            f"the history of use was damaged, and begins again: {path}", why=str(error)
        ) from error


@contextmanager
def _connect(path: Path) -> Iterator[UsageHistory]:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
        connection.execute(f"PRAGMA max_page_count = {MOST_PAGES}")
        # Names that were forgotten are overwritten in the file, too.
        connection.execute("PRAGMA secure_delete = ON")
        connection.executescript(_SCHEMA)
        yield UsageHistory(connection)


def read_history(path: Path) -> UsageRecord:
    """Return the history; empty if there is none yet. Raises TljhError for a damaged file."""
    if not path.is_file():
        return UsageRecord()
    try:
        # Not read-only: SQLite undoes what a killed run left.
        with closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT_S)) as connection:
            return UsageHistory(connection).read()
    except sqlite3.Error as error:
        raise TljhError(
            f"the history of use cannot be read: {path}",
            why=str(error),
            fix="sudo systemctl start tljh-history (it begins again where the file is damaged)",
        ) from error


def read_home_sizes(path: Path) -> dict[str, int]:
    """Return the last measured size of each home by login name; empty if it cannot be read now."""
    query = (
        "SELECT login, size_bytes FROM home JOIN person ON person.id = person"
        " WHERE login IS NOT NULL ORDER BY day"
    )
    try:
        uri = f"{path.as_uri()}?mode=ro"
        # The hub asks, for metrics: it must not wait.
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as connection:
            return dict(connection.execute(query).fetchall())
    except sqlite3.Error:
        return {}
