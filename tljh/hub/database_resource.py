"""The hub's database as a resource: it has the schema that the hub environment needs.

JupyterHub refuses to start on a database of another schema. The plan tries the migration on a
copy. The real migration is left to the hub that starts next, by a file (the order): while it
starts, no other process uses the database and requests wait at its socket. That hub copies the
database, migrates it within a deadline, and does so once, whether it succeeds or not. A rollback
leaves the restoring of the copy to the hub that starts next, too.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import Finding, TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import copy_database, find_companion_files, read_schema, restore_database
from tljh.hub.database_client import DatabaseAway, ask_database, require_private_password
from tljh.hub.database_place import find_remote_file_system, require_room
from tljh.hub.database_server import LocalDatabase
from tljh.settings.database_address import DatabaseAddress, build_sqlite_address
from tljh.systemd.unit_resource import act, reload_systemd

KEPT_COPIES = 2


# Shorter than the start timeout of the hub's unit, or systemd would kill a hub that migrates.
MIGRATION_TIMEOUT_S = 80.0


_VERSIONS = Path("site-packages/jupyterhub/alembic/versions")


@dataclass(frozen=True)
class ReleaseSchemas:
    """The schemas of one JupyterHub release: the newest, and all that it can migrate from."""

    newest: str
    migratable: frozenset[str]


def read_schemas(host: HostReader, environment: Path) -> ReleaseSchemas | None:
    """Read the schemas from an environment's Alembic migrations; None if it has none.

    The files are parsed, not imported: the environment may be another release than this one.
    """
    parents: dict[str, str] = {}
    for library in host.listdir(environment / "lib"):
        folder = environment / "lib" / library / _VERSIONS
        for name in host.listdir(folder):
            text = (host.read(folder / name) or b"").decode(errors="replace")
            revision = _parse_assignment(text, "revision")
            if revision:
                parents[revision] = _parse_assignment(text, "down_revision")
    # The newest is the one that is not the parent of another.
    newest = set(parents) - set(parents.values())
    return ReleaseSchemas(newest.pop(), frozenset(parents)) if len(newest) == 1 else None


def _parse_assignment(text: str, name: str) -> str:
    match = re.search(rf"^{name}\s*=\s*['\"](\w+)['\"]", text, re.MULTILINE)
    return match[1] if match else ""


@dataclass(frozen=True)
class HubDatabase(Resource):
    """The hub's database, at the schema of the hub in `environment`.

    `server` is where it is if it is not the file of SQLite. Its copies are files of SQLite all
    the same. With `source`, that copy of an earlier database replaces it; with `is_copied`, a copy
    is made even if the schema stays. In any case the hub that starts next does it. A server's
    tables are copied by `environment_before`, which knows them as they are.
    """

    paths: Paths
    environment: Path
    source: Path | None = None
    is_copied: bool = False
    server: DatabaseAddress | None = None
    environment_before: Path | None = None

    kind: ClassVar[str] = "hub-database"
    stage: ClassVar[Stage] = Stage.SERVICES
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.server or self.path)

    @property
    def path(self) -> Path:
        return self.paths.hub_database

    def difference(self, host: HostReader) -> Difference | None:
        current = read_schema(self.source) if self.source else self._read_current(host)
        if current is None and self.source:
            raise TljhError(
                f"there is no copy of the database at {self.source}",
                why="only the copies that were made last are kept",
            )
        if current is None:
            return None
        schemas = read_schemas(host, self.environment)
        is_current = schemas is None or current == schemas.newest
        if self.source and is_current:
            return Difference("~", f"restored from {self.source.name}; requests wait meanwhile")
        if self.is_copied and is_current:
            return Difference("~", "copied; the schema stays")
        if schemas is None or is_current:
            return None
        if current and current not in schemas.migratable:
            raise TljhError(
                "the hub's database was made by a newer JupyterHub than the one to be run",
                why=f"{self.path} has the schema {current}, which {self.environment.name} "
                "does not know",
                fix="restore the copy that was made before the upgrade (in "
                f"{self.paths.database_copies}), or stay with the newer release",
            )
        text = f"schema {current or '(unmarked)'} -> {schemas.newest}; requests wait meanwhile"
        return Difference("~", text)

    def _read_current(self, host: HostReader) -> str | None:
        """Return the schema of the database; None if there is none, or if its server is away."""
        if self.server is None:
            return read_schema(self.path)
        try:
            answer = ask_database(host, self.environment, "revision", self.server)
        except DatabaseAway:
            return None
        return str(answer["revision"]) if answer["revision"] else None

    def before(self, host: HostReader) -> Record:
        record: Record = {
            "path": str(self.path),
            "copy": str(self.choose_copy(host)),
            "order": str(self.paths.migration_order),
            "active": host.unit(HUB_UNIT).is_active,
            # The hub that a takeover replaces knows no orders.
            "is_ours": self.environment_before is not None,
        }
        return record | self._describe_server()

    def _describe_server(self) -> Record:
        if self.server is None:
            return {}
        server = {**self.server.as_order(), "kind": self.server.kind}
        return {"server": server, "environment": str(self.environment_before or self.environment)}

    def choose_copy(self, host: HostReader) -> Path:
        """Return the path for the next copy of the database; its name has number and schema."""
        numbers = [
            int(name.partition("-")[0]) for name in list_copies(host, self.paths.database_copies)
        ]
        number = max(numbers, default=0) + 1
        name = f"{number}-{self._read_current(host) or 'unmarked'}.sqlite"
        return self.paths.database_copies / name

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        """Migrate a copy of the database and remove it. Raises TljhError if that fails.

        Raises TljhError, too, without room for the copies, and on a remote file system.
        """
        if self.server is not None:
            return self._rehearse_on_server(host, changed, progress)
        remote = find_remote_file_system(host, self.path.parent)
        if remote is not None:
            raise TljhError([remote])
        if self.key not in changed:
            return ()
        # The trial is removed before the hub makes the copy that is kept; a replaced database
        # has a third one for a moment.
        require_room(host, self.source or self.path, copies=2)
        trial = self.paths.database_trial
        try:
            with progress.step("try the migration of the database on a copy"):
                copy_database(self.source or self.path, trial)
                migrate_copy(host, self.environment, trial)
        finally:
            for path in (trial, *find_companion_files(trial)):
                host.remove(path)
        return ()

    def _rehearse_on_server(
        self, host: Host, changed: Set[str], progress: Progress
    ) -> Sequence[Finding]:
        assert self.server is not None
        if LocalDatabase(self.server.kind).key in changed and self.server.is_local_server:
            return ()
        require_private_password(host, self.server)
        # Without an answer the hub could not start, and would wait.
        if self.key in changed or f"unit {HUB_UNIT}" in changed:
            ask_database(host, self.environment, "revision", self.server)
        if self.key not in changed:
            return ()
        trial = self.paths.database_trial
        try:
            with progress.step("try the migration of the database on a copy"):
                if self.source:
                    copy_database(self.source, trial)
                else:
                    _dump(host, self._describe_server(), trial)
                migrate_copy(host, self.environment, trial)
        finally:
            for path in (trial, *find_companion_files(trial)):
                host.remove(path)
        return ()

    def apply(self, host: Host, progress: Progress) -> None:
        # Only the order is written here; the hub carries it out when its unit (re)starts.
        copy = self.choose_copy(host)
        if host.info(copy.parent) is None:
            host.mkdir(copy.parent, mode=0o700)
        for old_copy in list_copies(host, self.paths.database_copies)[: 1 - KEPT_COPIES]:
            if copy.parent / old_copy != self.source:
                host.remove(copy.parent / old_copy)
        order = {"path": str(self.path), "copy": str(copy), **self._describe_server()}
        if self.source:
            order["source"] = str(self.source)
        host.write(self.paths.migration_order, json.dumps(order).encode(), mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        order = Path(record["order"])
        try:
            # A starting hub takes the order with a rename, too. Only one of the two succeeds, so
            # a migration either never begins or is reverted by `settle`.
            host.rename(order, order.with_suffix(".withdrawn"))
        except FileNotFoundError:
            return

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        order = Path(record["order"])
        # The copy is complete before the database changes, and the hub that begins is named so
        # until the change is complete.
        is_begun = Path(record["copy"]).is_file() or host.info(order.with_suffix(".begun"))
        if is_begun:
            reload_systemd(host)
        if is_begun and record["active"] and record["is_ours"]:
            # Not stopped: systemd before 254 closes the sockets that it keeps for a stopped hub,
            # and users who ask meanwhile get an error. The hub of before restores the copy.
            host.write(order.with_suffix(".undo"), json.dumps(record).encode(), mode=0o600)
            with contextlib.suppress(TljhError):
                act(host, "restart", HUB_UNIT)
        if is_begun and (Path(record["copy"]).is_file() or not record["active"]):
            # No hub runs that would do it: another program's, or one that cannot start.
            if host.unit(HUB_UNIT).load != "not-found":
                act(host, "stop", HUB_UNIT)
            restore_copy(host, record)
        for suffix in (".withdrawn", ".begun", ".undo"):
            host.remove(order.with_suffix(suffix))
        if record["active"] and not host.unit(HUB_UNIT).is_active:
            act(host, "start", HUB_UNIT)


def carry_out_order(host: Host, order: Path, environment: Path) -> None:
    """Copy the database and migrate or replace it, if ordered; the starting hub calls this.

    The order is carried out only once. Raises TljhError if the migration fails; the database is
    then as it was before. The order of a rollback restores the copy that was made.
    """
    begun, undo = order.with_suffix(".begun"), order.with_suffix(".undo")
    if host.info(undo) is not None:
        restore_copy(host, json.loads(host.read(undo) or b"{}"))
        host.remove(undo)
    if host.info(order) is None:
        return
    try:
        host.rename(order, begun)
    except FileNotFoundError:
        return
    content = json.loads(host.read(begun) or b"{}")
    path, copy = Path(content["path"]), Path(content["copy"])
    if "server" in content:
        _carry_out_on_server(host, environment, content)
        host.remove(begun)
        return
    copy_database(path, copy)
    try:
        if "source" in content:
            # The copy stays: if this hub does not start, the rollback can be tried again.
            restored = path.with_name(f".{path.name}.restored")
            copy_database(Path(content["source"]), restored)
            restore_database(restored, path)
        migrate_copy(host, environment, path)
    except (TljhError, OSError):
        restore_database(copy, path)
        raise
    host.remove(begun)


def _read_server(record: Record) -> DatabaseAddress:
    server = record["server"]
    return DatabaseAddress(server["kind"], server["url"], server["password_file"])


def _dump(host: HostReader, record: Record, copy: Path) -> None:
    """Copy the database of a server to a file, by the environment that knows its tables."""
    dump_server(host, Path(record["environment"]), _read_server(record), copy)


def dump_server(host: HostReader, environment: Path, server: DatabaseAddress, copy: Path) -> None:
    """Copy what a server has at one moment to a file of SQLite; the hub may go on writing."""
    ask_database(
        host,
        environment,
        "copy",
        build_sqlite_address(copy),
        source=server,
        timeout_s=MIGRATION_TIMEOUT_S,
    )


def restore_copy(host: Host, record: Record) -> None:
    """Restore the copy that an order made; a second call does nothing, because it is gone."""
    copy = Path(record["copy"])
    if "server" not in record:
        restore_database(copy, Path(record["path"]))
    elif copy.is_file():
        load_copy(host, Path(record["environment"]), copy, _read_server(record))
        host.remove(copy)


def load_copy(host: HostReader, environment: Path, copy: Path, server: DatabaseAddress) -> None:
    """Replace the database of a server by a copy, by an environment that knows its tables."""
    ask_database(
        host,
        environment,
        "copy",
        server,
        source=build_sqlite_address(copy),
        timeout_s=MIGRATION_TIMEOUT_S,
    )


def _carry_out_on_server(host: Host, environment: Path, content: Record) -> None:
    server = _read_server(content)
    _dump(host, content, Path(content["copy"]))
    try:
        if "source" in content:
            load_copy(host, environment, Path(content["source"]), server)
        revision = ask_database(host, environment, "revision", server)["revision"]
        schemas = read_schemas(host, environment)
        if schemas is None or revision != schemas.newest:
            # Only PostgreSQL takes back a migration that fails half-way.
            ask_database(host, environment, "migrate", server, timeout_s=MIGRATION_TIMEOUT_S)
    except (TljhError, OSError):
        restore_copy(host, content)
        raise


def migrate_copy(host: Host, environment: Path, path: Path) -> None:
    """Migrate a file of SQLite to the schema of `environment`, unless it has it."""
    schemas = read_schemas(host, environment)
    if schemas is None or read_schema(path) != schemas.newest:
        migrate(host, environment, path)


def list_copies(host: HostReader, directory: Path) -> Sequence[str]:
    """Return the file names of the copies of the database, oldest first."""
    names = host.listdir(directory)
    numbered = [name for name in names if re.fullmatch(r"\d+-\w+\.sqlite", name)]
    return sorted(numbered, key=lambda name: int(name.partition("-")[0]))


def migrate(host: Host, environment: Path, path: Path) -> None:
    """Migrate a database that no process has open to the schema of `environment`.

    Raises TljhError with the last lines of the migration's output.
    """
    files = HubEnvironmentFiles(environment)
    # JupyterHub runs the program `alembic`, which it looks up in PATH.
    search_path = f"{files.bin_dir}:{os.environ.get('PATH', os.defpath)}"
    result = host.run(
        [
            str(files.python),
            "-I",
            "-m",
            "tljh.hub.process.migrate_database",
            f"sqlite:///{path}",
        ],
        timeout_s=MIGRATION_TIMEOUT_S,
        env={"PATH": search_path},
    )
    if not result.ok:
        raise TljhError(
            "the hub's database cannot be migrated to the schema of the new release",
            why="\n".join((result.err or result.out).strip().splitlines()[-12:]),
            fix="correct the cause that the migration printed above; nothing was changed",
        )
