"""Settings of the hub's database: its kind, and how one on another machine is reached."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import FilePath

DatabaseType = Literal["sqlite", "postgresql", "mysql"]


class DatabaseSettings(Section):
    """The hub's database."""

    @property
    def kind(self) -> DatabaseType:
        """The type, which a URL alone says, too."""
        if self.url is not None and "type" not in self.model_fields_set:
            return "postgresql" if self.url.startswith("postgresql") else "mysql"
        return self.type

    type: DatabaseType = setting(
        "sqlite",
        help="Kind of database: sqlite (a file), postgresql, or mysql, which is MariaDB, too. "
        "Users, tokens and sessions move along.",
        cost=Cost.REBUILD,
        example="postgresql",
    )
    url: str | None = setting(
        None,
        help="A database elsewhere, without its password, such as "
        "postgresql+psycopg://USER@HOST/NAME or mysql+pymysql://USER@HOST/NAME; without it, the "
        "server on this machine is used.",
        cost=Cost.HUB_RESTART,
        example="postgresql+psycopg://hub@db.example.org/hub",
    )
    password_file: FilePath | None = setting(
        None,
        help="File with the password for database.url, which only root can read.",
        cost=Cost.HUB_RESTART,
        example="/root/database-password",
    )
    ca: FilePath | None = setting(
        None,
        help="Certificate of the authority (PEM) that the server of database.url is verified with.",
        cost=Cost.HUB_RESTART,
        example="/etc/ssl/certs/database-ca.pem",
    )
