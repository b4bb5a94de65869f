"""The hub's database as a resource: it has the schema that the hub environment needs.

JupyterHub refuses to start on a database of another schema. The plan tries the migration on a
copy. The real migration is left to the hub that starts next, by a file (the order): while it
starts, no other process uses the database and requests wait at its socket. That hub copies the
database, migrates it within a deadline, and does so once, whether it succeeds or not. A rollback
restores the copy.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import HubEnvironmentFiles, Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import companion_files, copy_database, restore_database, schema_of
from tljh.systemd.unit_resource import act

KEPT_COPIES = 2


# Shorter than the start timeout of the hub's unit, or systemd would kill a hub that migrates.
MIGRATION_TIMEOUT_S = 80.0


_VERSIONS = Path("site-packages/jupyterhub/alembic/versions")


@dataclass(frozen=True)
class Schemas:
    """The schemas of one JupyterHub release: the newest, and all that it can migrate from."""

    newest: str
    known: frozenset[str]


def schemas_of(host: HostReader, environment: Path) -> Schemas | None:
    """Read the schemas from an environment's Alembic migrations; None if it has none.

    The files are parsed, not imported: the environment may be another release than this one.
    """
    parents: dict[str, str] = {}
    for library in host.listdir(environment / "lib"):
        folder = environment / "lib" / library / _VERSIONS
        for name in host.listdir(folder):
            text = (host.read(folder / name) or b"").decode(errors="replace")
            revision = _assigned(text, "revision")
            if revision:
                parents[revision] = _assigned(text, "down_revision")
    # The newest is the one that is not the parent of another.
    newest = set(parents) - set(parents.values())
    return Schemas(newest.pop(), frozenset(parents)) if len(newest) == 1 else None


def _assigned(text: str, name: str) -> str:
    match = re.search(rf"^{name}\s*=\s*['\"](\w+)['\"]", text, re.MULTILINE)
    return match[1] if match else ""


@dataclass(frozen=True)
class HubDatabase(Resource):
    """The hub's database, at the schema of the hub in `environment`."""

    paths: Paths
    environment: Path

    kind: ClassVar[str] = "hub-database"
    stage: ClassVar[Stage] = Stage.SERVICES
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def path(self) -> Path:
        return self.paths.hub_database

    def difference(self, host: HostReader) -> Difference | None:
        current = schema_of(self.path)
        if current is None:
            return None
        schemas = schemas_of(host, self.environment)
        if schemas is None or current == schemas.newest:
            return None
        if current and current not in schemas.known:
            raise TljhError(
                "the hub's database was made by a newer JupyterHub than the one to be run",
                why=f"{self.path} has the schema {current}, which {self.environment.name} "
                "does not know",
                fix="restore the copy that was made before the upgrade (in "
                f"{self.paths.database_copies}), or stay with the newer release",
            )
        text = f"schema {current or '(unmarked)'} -> {schemas.newest}; requests wait meanwhile"
        return Difference("~", text)

    def before(self, host: HostReader) -> Record:
        return {
            "path": str(self.path),
            "copy": str(self._copy(host)),
            "order": str(self.paths.migration_order),
            "active": host.unit(HUB_UNIT).is_active,
        }

    def _copy(self, host: HostReader) -> Path:
        """Return the path of the next copy: its number, one above the highest, and its schema."""
        numbers = [int(name.partition("-")[0]) for name in copies(host, self.paths.database_copies)]
        number = max(numbers, default=0) + 1
        name = f"{number}-{schema_of(self.path) or 'unmarked'}.sqlite"
        return self.paths.database_copies / name

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        """Migrate a copy and remove it. Raises TljhError with the migration's own words."""
        if self.key not in changed:
            return ()
        trial = self.paths.database_trial
        try:
            with progress.step("check that the database can be migrated"):
                copy_database(self.path, trial)
                migrate(host, self.environment, trial)
        finally:
            for path in (trial, *companion_files(trial)):
                host.remove(path)
        return ()

    def apply(self, host: Host, progress: Progress) -> None:
        # Only the order is written here; the hub carries it out when its unit (re)starts.
        copy = self._copy(host)
        if host.info(copy.parent) is None:
            host.mkdir(copy.parent, mode=0o700)
        for old_copy in copies(host, self.paths.database_copies)[: 1 - KEPT_COPIES]:
            host.remove(copy.parent / old_copy)
        order = json.dumps({"path": str(self.path), "copy": str(copy)})
        host.write(self.paths.migration_order, order.encode(), mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        order = Path(record["order"])
        try:
            # A starting hub takes the order with a rename, too. Only one of the two succeeds, so
            # a migration either never begins or is reverted below.
            host.rename(order, order.with_suffix(".withdrawn"))
        except FileNotFoundError:
            if host.unit(HUB_UNIT).load != "not-found":
                act(host, "stop", HUB_UNIT)
            restore_database(Path(record["copy"]), Path(record["path"]))
        for suffix in (".withdrawn", ".begun"):
            host.remove(order.with_suffix(suffix))

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        if record["active"] and not host.unit(HUB_UNIT).is_active:
            act(host, "start", HUB_UNIT)


def carry_out_order(host: Host, order: Path, environment: Path) -> None:
    """Migrate the database if an order was left for the starting hub, and do so only once.

    Raises TljhError if the migration fails; the database is then as it was before.
    """
    begun = order.with_suffix(".begun")
    if host.info(order) is None:
        return
    try:
        host.rename(order, begun)
    except FileNotFoundError:
        return
    content = json.loads(host.read(begun) or b"{}")
    path, copy = Path(content["path"]), Path(content["copy"])
    copy_database(path, copy)
    try:
        migrate(host, environment, path)
    except TljhError:
        restore_database(copy, path)
        raise
    host.remove(begun)


def copies(host: HostReader, directory: Path) -> Sequence[str]:
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
