"""The hub's tables in a database of any kind, and what of them another kind cannot hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    TypeDecorator,
    create_engine,
    func,
    inspect,
    select,
    text,
)
from sqlalchemy.pool import NullPool

from tljh.hub.process.database_connections import read_password

VERSION_TABLE = "alembic_version"

# In the place of the schema's revision while rows are copied. A hub refuses to start on it.
INCOMPLETE = "tljh-incomplete-copy"

# Of MEDIUMTEXT and MEDIUMBLOB: TEXT and BLOB of MariaDB end at 64 KB, which a server's state or a
# login's data can exceed.
MOST_BYTES = (1 << 24) - 1

# Others merge names: staff and Staff, jose and josé, or those that differ by a space at the end.
EXACT_COLLATIONS = ("utf8mb4_nopad_bin", "utf8mb4_0900_bin")

OLDEST = {"postgresql": (12,), "mariadb": (10, 5), "mysql": (8,)}
PRODUCTS = {"postgresql": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MySQL", "sqlite": "SQLite"}


@dataclass(frozen=True)
class Database:
    """A database to work on; as a context manager, its connections are closed at the end."""

    engine: Engine

    @classmethod
    def of(cls, place: Mapping[str, Any]) -> Database:
        """Return the database at a place of an order, with its password."""
        from sqlalchemy.engine import make_url

        url = make_url(place["url"])
        options = {}
        if place.get("password_file"):
            options["password"] = read_password(url.get_backend_name(), place["password_file"])
        # Rows that are read belong to one moment, also while a hub writes.
        level = "SERIALIZABLE" if url.get_backend_name() == "sqlite" else "REPEATABLE READ"
        return cls(
            create_engine(url, poolclass=NullPool, isolation_level=level, connect_args=options)
        )

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.dispose()

    @property
    def kind(self) -> str:
        return self.engine.dialect.name


@lru_cache(maxsize=1)
def read_metadata() -> MetaData:
    """Return the tables of the hub of this environment, with plain types of their columns.

    Values go from one database to another as they are stored: what JupyterHub encodes as JSON is
    not decoded.
    """
    from jupyterhub import orm

    # NativeAuthenticator's passwords; its table is there if the class was used once.
    with suppress(ImportError):
        import nativeauthenticator.orm  # noqa: F401
    metadata = MetaData()
    for table in orm.Base.metadata.sorted_tables:
        table.to_metadata(metadata)
    for table in metadata.tables.values():
        for column in table.columns:
            kind = column.type
            if isinstance(kind, TypeDecorator):
                kind = kind.impl_instance
            if isinstance(kind, Text):
                kind = Text(MOST_BYTES).with_variant(Text(), "postgresql", "sqlite")
            elif isinstance(kind, LargeBinary):
                kind = LargeBinary(MOST_BYTES).with_variant(LargeBinary(), "postgresql", "sqlite")
            column.type = kind
        # Without it, the index of a long name would not fit on MariaDB.
        table.dialect_options["mysql"]["row_format"] = "DYNAMIC"
    return metadata


def find_tables(connection: Connection) -> list[Table]:
    """Return those of the hub's tables that a database has, referenced ones first."""
    existing = set(inspect(connection).get_table_names())
    return [table for table in read_metadata().sorted_tables if table.name in existing]


def read_revision(connection: Connection) -> str | None:
    """Return the revision of the hub's schema; None if a database has none."""
    if VERSION_TABLE not in inspect(connection).get_table_names():
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()


def probe(database: Database) -> dict[str, Any]:
    """Return what a database is and what the hub has in it. Raises DBAPIError if it is away."""
    with database.engine.connect() as connection:
        dialect = database.engine.dialect
        version = tuple(dialect.server_version_info or ())
        product = "mariadb" if getattr(dialect, "is_mariadb", False) else database.kind
        tables = find_tables(connection)
        revision = read_revision(connection)
        ours = {table.name for table in read_metadata().sorted_tables} | {VERSION_TABLE}
        users = next((table for table in tables if table.name == "users"), None)
        count = select(func.count()).select_from
        return {
            "kind": database.kind,
            "server": f"{PRODUCTS[product]} {'.'.join(map(str, version[:2]))}",
            "is_old": version < OLDEST.get(product, ()),
            "revision": revision,
            "is_empty": revision in (None, INCOMPLETE)
            or not any(connection.execute(count(table)).scalar() for table in tables),
            "users": connection.execute(count(users)).scalar() if users is not None else 0,
            "unknown": sorted(set(inspect(connection).get_table_names()) - ours),
            "charset": _read_charset(connection, database.kind),
        }


def _read_charset(connection: Connection, kind: str) -> str | None:
    """Return encoding or collation of a database, if names could be lost or merged by it."""
    if kind == "postgresql":
        encoding = str(connection.execute(text("SHOW server_encoding")).scalar())
        return None if encoding == "UTF8" else encoding
    if kind == "mysql":
        collation = str(connection.execute(text("SELECT @@collation_database")).scalar())
        return None if collation in EXACT_COLLATIONS else collation
    return None


def find_obstacles(source: Database, kind: str) -> list[str]:
    """Return the values of a source that a database of `kind` cannot hold, each by its row."""
    if kind == "sqlite":
        return []
    with source.engine.connect() as connection:
        return [
            obstacle
            for table in find_tables(connection)
            for obstacle in _find_in_table(connection, table, kind)
        ]


def _find_in_table(connection: Connection, table: Table, kind: str) -> Iterator[str]:
    largest = {c.name: MOST_BYTES for c in table.columns if isinstance(c.type, (Text, LargeBinary))}
    lengths = {
        column.name: column.type.length
        for column in table.columns
        if isinstance(column.type, String) and column.name not in largest and column.type.length
    }
    for row in connection.execute(select(table).execution_options(yield_per=1000)).mappings():
        name = _name_row(table, row)
        for column, value in row.items():
            if value is None:
                continue
            if isinstance(value, str) and "\0" in value and kind == "postgresql":
                yield f"{name}: {column} has a NUL character, which PostgreSQL refuses"
            if isinstance(value, str) and len(value) > lengths.get(column, len(value)):
                yield f"{name}: {column} has {len(value)} characters, of {lengths[column]}"
            if kind == "mysql" and column in largest and len(_encode(value)) > largest[column]:
                yield f"{name}: {column} has more than 16 MB"


def _encode(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _name_row(table: Table, row: RowMapping) -> str:
    label = row.get("name") or row.get("username") or row.get("id")
    return f"{table.name}, {str(label)[:40]!r}" if label else table.name


def clear(database: Database) -> None:
    """Drop the hub's tables."""
    with database.engine.begin() as connection:
        tables = find_tables(connection)
        metadata = read_metadata()
        metadata.drop_all(connection, tables=tables)
        connection.execute(text(f"DROP TABLE IF EXISTS {VERSION_TABLE}"))
