"""Mistakes in the settings of the hub's database, and other spellings of its URL."""

from __future__ import annotations

from collections.abc import Iterator
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tljh.settings.database_address import DRIVERS, PRODUCTS, correct_url
from tljh.settings.declaration import Problem

if TYPE_CHECKING:
    from tljh.settings.root import Config

_FORMS = "postgresql+psycopg://USER@HOST/NAME or mysql+pymysql://USER@HOST/NAME"


def find_contradictions(config: Config) -> Iterator[Problem]:
    """Yield what is wrong with the settings of the database together."""
    database = config.database
    if database.url is None:
        for name in ("password_file", "ca"):
            if getattr(database, name) is not None:
                yield Problem(
                    ("database", name),
                    f"database.{name} is set, but database.url is not",
                    why="the server on this machine is reached by its socket, without a password",
                    fix=f"sudo tljh-config set database.url {quote(_FORMS.partition(' ')[0])}",
                    severity="incomplete",
                )
        return
    problem = find_url_problem(database.url)
    if problem is not None:
        yield problem
        return
    kind = "postgresql" if database.url.startswith(DRIVERS["postgresql"]) else "mysql"
    if kind != database.kind:
        yield Problem(
            ("database", "url"),
            f"database.url is of {PRODUCTS[kind]}, but database.type is {database.type}",
            fix=f"sudo tljh-config set database.type {quote(kind)}",
            severity="incomplete",
        )


def find_url_problem(text: str) -> Problem | None:
    """Return what is wrong with a URL, with the one to write; None if nothing is."""
    path = ("database", "url")
    corrected = correct_url(text)
    if corrected is None:
        return Problem(
            path,
            "database.url is not the URL of a database that the hub can use",
            why=f"it has to be {_FORMS}",
            fix="sudo tljh-config set database.url URL",
        )
    if corrected.kind == "sqlite":
        return Problem(
            path,
            "database.url names a file of SQLite",
            why="tljh keeps that file itself, with its copies and migrations",
            fix="sudo tljh-config unset database.url; sudo tljh-config set database.type sqlite",
        )
    if corrected.has_password:
        return Problem(
            path,
            "database.url has a password in it",
            why="it would be in the hub's files and messages",
            fix="write the password into a file that only root can read; "
            "sudo tljh-config set database.password_file FILE; "
            f"sudo tljh-config set database.url {quote(corrected.url)}",
        )
    if corrected.url != text:
        return Problem(
            path,
            "database.url is in another spelling than SQLAlchemy and the installed driver have",
            why=f"the driver for {PRODUCTS[corrected.kind]} is "
            f"{DRIVERS[corrected.kind].partition('+')[2]}",
            fix=f"sudo tljh-config set database.url {quote(corrected.url)}",
        )
    if not urlsplit(text).path.strip("/"):
        return Problem(
            path,
            "database.url names no database",
            why=f"it has to be {_FORMS}",
            fix="sudo tljh-config set database.url URL",
        )
    return None
