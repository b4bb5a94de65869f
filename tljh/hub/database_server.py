"""A database server on this machine: Debian's packages, and a role and database for the hub.

The hub is root, and gets in by the socket with the name of its account: there is no password.
"""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.apt_resource import AptPackages
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader, Result
from tljh.settings.database_address import NAME, ROLE, DatabaseAddress
from tljh.settings.sections.database import DatabaseType

START_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Server:
    """A kind of server: Debian's package and unit, and the statements that make a database."""

    package: str
    unit: str
    client: tuple[str, ...]
    query: str
    statements: tuple[str, ...]


SERVERS: dict[DatabaseType, Server] = {
    "postgresql": Server(
        "postgresql",
        "postgresql.service",
        ("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-v", "ON_ERROR_STOP=1"),
        f"SELECT 'role' FROM pg_roles WHERE rolname = '{ROLE}' "
        f"UNION SELECT 'database' FROM pg_database WHERE datname = '{NAME}'",
        (
            f"CREATE ROLE {ROLE} LOGIN",
            f"CREATE DATABASE {NAME} OWNER {ROLE} ENCODING 'UTF8' TEMPLATE template0",
        ),
    ),
    # Debian's MariaDB has the role root, which is let in by its account.
    "mysql": Server(
        "mariadb-server",
        "mariadb.service",
        ("mariadb", "--batch", "--skip-column-names"),
        "SELECT 'role' UNION SELECT 'database' FROM information_schema.schemata "
        f"WHERE schema_name = '{NAME}'",
        (
            "DO 0",
            f"CREATE DATABASE {NAME} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
        ),
    ),
}
PARTS = ("role", "database")


@dataclass(frozen=True)
class LocalDatabase(Resource):
    """The server on this machine runs, and has a role and a database for the hub.

    A rollback and an uninstall keep them: there may be data in them.
    """

    type: DatabaseType

    kind: ClassVar[str] = "local-database"
    stage: ClassVar[Stage] = Stage.PREPARE
    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

    @property
    def name(self) -> str:
        return self.type

    @property
    def _server(self) -> Server:
        return SERVERS[self.type]

    def _ask(self, host: HostReader) -> Result:
        return host.query(self._server.client, stdin=self._server.query + ";\n")

    def difference(self, host: HostReader) -> Difference | None:
        if host.package(self._server.package) is None:
            return Difference("+", f"role {ROLE} and database {NAME}, by socket, no password")
        answer = self._ask(host)
        if not answer.ok:
            return Difference("~", f"started, with a database {NAME}")
        missing = [part for part in PARTS if part not in answer.out.split()]
        return Difference("+", f"{' and '.join(missing)} for the hub") if missing else None

    def before(self, host: HostReader) -> Record:
        return {}

    def apply(self, host: Host, progress: Progress) -> None:
        server = self._server
        answer = self._ask(host)
        if not answer.ok:
            host.systemctl("enable", server.unit)
            host.systemctl("start", server.unit, timeout_s=START_TIMEOUT_S)
            answer = self._wait(host)
        for part, statement in zip(PARTS, server.statements, strict=True):
            if part not in answer.out.split():
                result = host.run(server.client, timeout_s=60, stdin=statement + ";\n")
                if not result.ok:
                    raise self._describe(result)

    def _wait(self, host: Host) -> Result:
        """Wait until the server answers. Raises TljhError if it does not in time."""
        deadline_s = host.monotonic_s() + START_TIMEOUT_S
        answer = self._ask(host)
        while not answer.ok:
            if host.monotonic_s() > deadline_s:
                raise self._describe(answer)
            host.pause(0.5)
            answer = self._ask(host)
        return answer

    def _describe(self, result: Result) -> TljhError:
        unit = self._server.unit
        return TljhError(
            f"{unit} has no database for the hub",
            why=(result.err or result.out).strip()[-1000:],
            fix=f"correct the cause above; the log: sudo journalctl -u {quote(unit)} -e",
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        return


def list_server_resources(address: DatabaseAddress) -> list[Resource]:
    """Return what the server of an address needs on this machine; empty for one elsewhere."""
    if not address.is_local_server:
        return []
    return [AptPackages((SERVERS[address.kind].package,)), LocalDatabase(address.kind)]
