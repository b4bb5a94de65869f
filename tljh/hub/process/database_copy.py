"""Copy the hub's tables from one database to another of any kind, and compare every row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Integer, Table, func, insert, select, text

from tljh.hub.process.database_tables import (
    INCOMPLETE,
    VERSION_TABLE,
    Database,
    clear,
    find_tables,
    read_metadata,
    read_revision,
)

BATCH = 1000


def copy_rows(source: Database, target: Database) -> int:
    """Replace the hub's tables in `target` by those of `source`; return the number of rows.

    `target` has the revision of the schema only when all rows are in it and were compared. Until
    then a hub refuses to start on it, also if this process is killed. Raises ValueError for a
    difference.
    """
    metadata = read_metadata()
    with source.engine.connect() as reading:
        revision = read_revision(reading)
        if revision in (None, INCOMPLETE):
            raise ValueError("the source has no complete database of a hub")
        tables = find_tables(reading)
        clear(target)
        with target.engine.begin() as writing:
            # First: MariaDB commits each creation of a table.
            _mark(writing, INCOMPLETE)
            metadata.create_all(writing, tables=tables)
        with target.engine.begin() as writing:
            total = sum(_copy_table(reading, writing, table) for table in tables)
            for table in tables:
                _compare(reading, writing, table)
            _check_references(writing)
            writing.execute(
                text(f"UPDATE {VERSION_TABLE} SET version_num = :revision"), {"revision": revision}
            )
    return total


def _mark(connection: Connection, revision: str) -> None:
    # As alembic creates it.
    connection.execute(
        text(
            f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL, "
            f"CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(
        text(f"INSERT INTO {VERSION_TABLE} VALUES (:revision)"), {"revision": revision}
    )


def _read_rows(connection: Connection, table: Table) -> Iterator[Any]:
    query = select(table).execution_options(yield_per=BATCH)
    yield from connection.execute(query).mappings()


def _copy_table(reading: Connection, writing: Connection, table: Table) -> int:
    rows = _read_rows(reading, table)
    count = 0
    while batch := [dict(row) for row in islice(rows, BATCH)]:
        writing.execute(insert(table), batch)
        count += len(batch)
    if writing.dialect.name == "postgresql":
        _set_sequence(writing, table)
    return count


def _set_sequence(connection: Connection, table: Table) -> None:
    """Let PostgreSQL count on from the highest id that was inserted."""
    for column in table.primary_key.columns:
        if len(table.primary_key.columns) == 1 and isinstance(column.type, Integer):
            highest = connection.execute(select(func.max(column))).scalar()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, highest or 1, highest is not None)))


def _compare(reading: Connection, writing: Connection, table: Table) -> None:
    """Raise ValueError if a table has other rows in the target than in the source."""
    # MariaDB keeps whole seconds.
    is_coarse = "mysql" in (reading.dialect.name, writing.dialect.name)
    old, new = (
        Counter(_digest(row, is_coarse=is_coarse) for row in _read_rows(connection, table))
        for connection in (reading, writing)
    )
    missing = (old - new).total()
    added = (new - old).total()
    if missing or added:
        raise ValueError(f"{table.name}: {missing} rows of the source differ or are missing")


def _digest(row: Any, *, is_coarse: bool) -> bytes:
    values = []
    for name in sorted(row):
        value = row[name]
        if is_coarse and isinstance(value, datetime):
            value = value.replace(microsecond=0)
        values.append((name, bytes(value) if isinstance(value, memoryview) else value))
    return sha256(repr(values).encode()).digest()


def _check_references(connection: Connection) -> None:
    """Raise ValueError for a row of SQLite that refers to one that does not exist."""
    if connection.dialect.name != "sqlite":
        return
    broken = connection.execute(text("PRAGMA foreign_key_check")).fetchall()
    if broken:
        raise ValueError(f"{broken[0][0]}: {len(broken)} rows refer to rows that do not exist")
