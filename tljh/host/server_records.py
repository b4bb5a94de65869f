"""The hub's records of users where its database is on a server.

For a file of SQLite, `password_store` and `native_records` read the same. The command that runs has
the driver: it belongs to the hub environment.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.native_records import TABLE

if TYPE_CHECKING:
    from sqlalchemy import Connection

CONNECT_TIMEOUT_S = 3


@dataclass(frozen=True)
class ServerPlace:
    """The address of a database on a server, as the hub's applied configuration has it."""

    url: str
    password_file: str | None = None

    @classmethod
    def read(cls, paths: Paths) -> ServerPlace | None:
        """Return where the hub's database is; None if it is a file, or is none yet."""
        file = paths.applied.hub_file
        try:
            traits = json.loads(file.read_bytes())
            url = str(traits["JupyterHub"]["db_url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if url.startswith("sqlite"):
            return None
        return cls(url, traits.get("TljhHub", {}).get("db_password_file"))

    def as_json(self) -> dict[str, str | None]:
        return {"url": self.url, "password_file": self.password_file}

    def read_admins(self) -> frozenset[str]:
        """Return the login names that are admins in the hub; empty if the server is away."""
        return frozenset(
            str(row["name"]) for row in self._read("SELECT name FROM users WHERE admin")
        )

    def read_user_names(self) -> frozenset[str]:
        """Return the names of the hub's users; empty if the server is away."""
        return frozenset(str(row["name"]) for row in self._read("SELECT name FROM users"))

    def read_sign_ups(self) -> dict[str, bool]:
        """Return the names of NativeAuthenticator's sign-ups, and whether each is authorized."""
        rows = self._read(f"SELECT username, is_authorized FROM {TABLE}")
        return {str(row["username"]): bool(row["is_authorized"]) for row in rows}

    def read_record(self, login: str) -> dict[str, Any] | None:
        """Return NativeAuthenticator's row of a login name by column; None if it has none."""
        rows = self._read(f"SELECT * FROM {TABLE} WHERE username = :login", login=login)
        return {name: _decode(value) for name, value in rows[0].items()} if rows else None

    def write_record(self, login: str, record: Mapping[str, Any] | None) -> None:
        """Replace the row of a login name; None deletes it. Raises TljhError; nothing changed."""
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._connected() as connection, connection.begin():
                delete = text(f"DELETE FROM {TABLE} WHERE username = :login")
                connection.execute(delete, {"login": login})
                if record is not None:
                    names, marks = ", ".join(record), ", ".join(f":{name}" for name in record)
                    insert = text(f"INSERT INTO {TABLE} ({names}) VALUES ({marks})")
                    connection.execute(insert, dict(record))
        except SQLAlchemyError as error:
            raise TljhError(f"the password of {login} cannot be written", why=str(error)) from error

    def _read(self, query: str, **values: str) -> list[dict[str, Any]]:
        from sqlalchemy import text
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._connected() as connection:
                return [dict(row) for row in connection.execute(text(query), values).mappings()]
        except SQLAlchemyError:
            # The server is away, which a check reports, or a table is not there yet.
            return []

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        from sqlalchemy import create_engine
        from sqlalchemy.engine import make_url
        from sqlalchemy.pool import NullPool

        url = make_url(self.url)
        options: dict[str, Any] = {"connect_timeout": CONNECT_TIMEOUT_S}
        if self.password_file:
            # As bytes for PyMySQL, which would encode it as Latin-1.
            password = Path(self.password_file).read_bytes().rstrip(b"\r\n")
            is_mysql = url.get_backend_name() == "mysql"
            options["password"] = password if is_mysql else password.decode()
        engine = create_engine(url, poolclass=NullPool, connect_args=options)
        try:
            with engine.connect() as connection:
                yield connection
        finally:
            engine.dispose()


def _decode(value: Any) -> Any:
    return bytes(value) if isinstance(value, (bytearray, memoryview)) else value
