"""Addresses of the hub's database: built from settings, read from other spellings, displayed.

An address has no password. SQLAlchemy's name of the driver is always in it: without a name it
takes one that is not installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from tljh.base.paths import Paths

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.database import DatabaseType

DRIVERS: dict[str, str] = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}

# psycopg brings its own libpq, and pymysql needs none: neither needs a compiler.
PACKAGES = {"postgresql": "psycopg[binary]", "mysql": "pymysql"}

PRODUCTS = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mysql": "MariaDB or MySQL"}

# Debian's sockets. The name of the account, root, is the name of the role: no password.
NAME = "jupyterhub"
ROLE = "root"
SOCKETS = {
    "postgresql": {"host": "/var/run/postgresql"},
    "mysql": {"unix_socket": "/run/mysqld/mysqld.sock"},
}

_KINDS = {
    "postgres": "postgresql",
    "postgresql": "postgresql",
    "pgsql": "postgresql",
    "psycopg2": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
}
_PASSWORDS = ("password", "passwd", "sslpassword")
_SCHEME = re.compile(r"(?:jdbc:)?(?P<dialect>[a-z0-9]+)(?:\+[\w.-]+)?:/", re.IGNORECASE)


@dataclass(frozen=True)
class DatabaseAddress:
    """Where the hub's database is; `url` is SQLAlchemy's, without a password."""

    kind: DatabaseType
    url: str
    password_file: str | None = None

    @property
    def is_server(self) -> bool:
        return self.kind != "sqlite"

    @property
    def identity(self) -> tuple[str | None, ...]:
        """What tells databases apart; another certificate or password is no other database."""
        parts = urlsplit(self.url)
        query = dict(parse_qsl(parts.query))
        sockets = (query.get(name) for name in ("host", "port", "unix_socket"))
        return (self.kind, parts.hostname, str(parts.port), parts.path, *sockets)

    @property
    def is_local_server(self) -> bool:
        """Whether it is the server that `tljh db setup` installs."""
        return self.is_server and self.url == build_local_address(self.kind).url

    def as_order(self) -> dict[str, Any]:
        """Return the address as the database worker reads it."""
        return {"url": self.url, "password_file": self.password_file}

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        if not self.is_server:
            return f"SQLite ({parts.path[1:]})"
        place = parts.netloc.rpartition("@")[2] or "this machine"
        return f"{PRODUCTS[self.kind]} ({parts.path.lstrip('/')} on {place})"


def get_database_address(config: Config, paths: Paths) -> DatabaseAddress:
    """Return the address that the settings mean."""
    settings = config.database
    kind = settings.kind
    if kind == "sqlite":
        return build_sqlite_address(paths.hub_database)
    if settings.url is None:
        return build_local_address(kind)
    parts = urlsplit(settings.url)
    query = dict(parse_qsl(parts.query))
    if kind == "mysql":
        query.setdefault("charset", "utf8mb4")
    if settings.ca is not None:
        query |= (
            {"sslmode": "verify-full", "sslrootcert": settings.ca}
            if kind == "postgresql"
            else {"ssl_ca": settings.ca, "ssl_check_hostname": "true"}
        )
    url = parts._replace(query=urlencode(query)).geturl()
    return DatabaseAddress(kind, url, settings.password_file)


def build_local_address(kind: DatabaseType) -> DatabaseAddress:
    """Return the address of the server that `tljh db setup` installs."""
    socket = dict(SOCKETS[kind])
    if kind == "mysql":
        socket["charset"] = "utf8mb4"
    return DatabaseAddress(kind, f"{DRIVERS[kind]}://{ROLE}@/{NAME}?{urlencode(socket)}")


def read_address(url: str, password_file: str | None) -> DatabaseAddress | None:
    """Return the address that a hub's configuration has; None for a kind that is not ours."""
    for kind, start in (("sqlite", "sqlite"), *DRIVERS.items()):
        if url.startswith(start):
            return DatabaseAddress(kind, url, password_file)  # type: ignore[arg-type]
    return None


def build_sqlite_address(path: Path) -> DatabaseAddress:
    """Return the address of a file of SQLite."""
    return DatabaseAddress("sqlite", f"sqlite:///{path}")


def get_driver_packages(config: Config) -> list[str]:
    """Return the pip packages of the driver that the database needs."""
    package = PACKAGES.get(config.database.kind)
    return [package] if package else []


@dataclass(frozen=True)
class CorrectedUrl:
    """What a URL of any spelling means: its kind, and the URL to write, without the password."""

    kind: str
    url: str
    has_password: bool


def correct_url(text: str) -> CorrectedUrl | None:
    """Read a URL as documents of any age spell it; None for what is no database of a hub."""
    match = _SCHEME.match(text.strip())
    if match is None:
        return _read_keywords(text)
    kind = _KINDS.get(match["dialect"].lower())
    if kind is None:
        return None
    if kind == "sqlite":
        return CorrectedUrl(kind, text, has_password=False)
    return _read_url(kind, text.strip()[match.end() - 1 :])


def _read_url(kind: str, rest: str) -> CorrectedUrl:
    """Read what follows the scheme and its colon; a password in it may have any character."""
    credentials, sign, place = rest.lstrip("/").rpartition("@")
    if not sign or "=" in credentials.partition("?")[2]:
        # There is none, or it is in a parameter and not after a password.
        credentials, sign, place = "", "", rest.removeprefix("//")
    place, _, query = place.partition("?")
    values = dict(parse_qsl(query))
    count = len(values)
    # As JDBC and PyMySQL have them.
    passwords = [values.pop(name) for name in _PASSWORDS if name in values]
    name, colon, _ = credentials.partition(":")
    if "user" in values:
        name, sign = quote(values.pop("user"), safe=""), "@"
    if len(values) != count:
        query = urlencode(values)
    url = f"{DRIVERS[kind]}://{name}{sign}{place}" + (f"?{query}" if query else "")
    return CorrectedUrl(kind, url, has_password=bool(colon or passwords))


_KEYWORD = re.compile(r"(\w+)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")


def _read_keywords(text: str) -> CorrectedUrl | None:
    """Read `host=… dbname=…`, as PostgreSQL's own programs have it."""
    values = {name: value.strip("'") for name, value in _KEYWORD.findall(text)}
    if "dbname" not in values:
        return None
    user, host = quote(values.get("user", ""), safe=""), values.get("host", "")
    port = f":{values['port']}" if "port" in values else ""
    query = f"?{urlencode({'host': host})}" if host.startswith("/") else ""
    place = "" if query else f"{host}{port}"
    owner = f"{user}@" if user else ""
    url = f"{DRIVERS['postgresql']}://{owner}{place}/{quote(values['dbname'])}{query}"
    return CorrectedUrl("postgresql", url, has_password="password" in values)
