"""The hub's database as a resource: brought to the schema that the hub's release needs.

JupyterHub starts on a database of exactly its own schema. A migration is tried on a copy before
anything is touched. The real one is told to the hub that starts next, because the hub alone has
the database for itself while requests wait at its socket: it makes a copy first, has a deadline,
and does it once, whatever comes of it. The undo puts the copy back.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.resource import Difference, Record, Resource, Undo
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import beside, copy_database, put_back_database, schema_of
from tljh.systemd.unit_resource import act

FILE = "jupyterhub.sqlite"


COPIES = "database-copies"


# What the hub that starts next shall do with it, once.
ORDER = "migrate-database.json"


KEPT_COPIES = 2


# Below what the hub's unit has to start.
MIGRATION_TIMEOUT_S = 80.0


_VERSIONS = Path("site-packages/jupyterhub/alembic/versions")


@dataclass(frozen=True)
class Schemas:
    """What a release of JupyterHub knows: the newest schema, and all it can come from."""

    newest: str
    known: frozenset[str]


def schemas_of(host: HostReader, environment: Path) -> Schemas | None:
    """Read from the migrations that lie in an environment; None where there are none."""
    before: dict[str, str] = {}
    for library in host.listdir(environment / "lib"):
        folder = environment / "lib" / library / _VERSIONS
        for name in host.listdir(folder):
            text = (host.read(folder / name) or b"").decode(errors="replace")
            revision = _assigned(text, "revision")
            if revision:
                before[revision] = _assigned(text, "down_revision")
    newest = set(before) - set(before.values())
    return Schemas(newest.pop(), frozenset(before)) if len(newest) == 1 else None


def _assigned(text: str, name: str) -> str:
    found = re.search(rf"^{name}\s*=\s*['\"](\w+)['\"]", text, re.MULTILINE)
    return found[1] if found else ""


@dataclass(frozen=True)
class HubDatabase(Resource):
    """The database below `state_dir` has the schema of the hub in `environment`."""

    state_dir: Path
    environment: Path

    kind: ClassVar[str] = "hub-database"
    undo: ClassVar[Undo] = Undo.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.state_dir / FILE)

    @property
    def path(self) -> Path:
        return self.state_dir / FILE

    def difference(self, host: HostReader) -> Difference | None:
        now = schema_of(self.path)
        if now is None:
            return None
        schemas = schemas_of(host, self.environment)
        if schemas is None or now == schemas.newest:
            return None
        if now and now not in schemas.known:
            raise TljhError(
                "the hub's database was made by a newer JupyterHub than the one to be run",
                why=f"{self.path} has the schema {now}, which {self.environment.name} "
                "does not know",
                fix=f"take back the copy made before it was upgraded ({self.state_dir / COPIES}), "
                "or stay with the newer release",
            )
        text = f"schema {now or '(no mark)'} -> {schemas.newest}; requests wait meanwhile"
        return Difference("~", text)

    def before(self, host: HostReader) -> Record:
        return {
            "path": str(self.path),
            "copy": str(self._copy(host)),
            "order": str(self.state_dir / ORDER),
            "active": host.unit(HUB_UNIT).is_active,
        }

    def _copy(self, host: HostReader) -> Path:
        """Where the copy goes: one more than those that are there, with the schema it has."""
        taken = [int(name.partition("-")[0]) for name in copies(host, self.state_dir)]
        number = max(taken, default=0) + 1
        return self.state_dir / COPIES / f"{number}-{schema_of(self.path) or 'unmarked'}.sqlite"

    def rehearse(self, host: Host) -> None:
        """Migrate a copy and throw it away. Raises TljhError with the migration's words."""
        trial = self.state_dir / ".trial.sqlite"
        try:
            copy_database(self.path, trial)
            migrate(host, self.environment, trial)
        finally:
            for path in (trial, *beside(trial)):
                host.remove(path)

    def apply(self, host: Host, progress: Progress) -> None:
        copy = self._copy(host)
        if host.info(copy.parent) is None:
            host.mkdir(copy.parent, mode=0o700)
        for old in copies(host, self.state_dir)[: 1 - KEPT_COPIES]:
            host.remove(copy.parent / old)
        order = json.dumps({"path": str(self.path), "copy": str(copy)})
        host.write(self.state_dir / ORDER, order.encode(), mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        order = Path(record["order"])
        try:
            # Whoever moves it first has it: the hub that starts, or this.
            host.rename(order, order.with_name(f"{ORDER}.undone"))
        except FileNotFoundError:
            if host.unit(HUB_UNIT).load != "not-found":
                act(host, "stop", HUB_UNIT)
            put_back_database(Path(record["copy"]), Path(record["path"]))
        for leftover in ("undone", "begun"):
            host.remove(order.with_name(f"{ORDER}.{leftover}"))

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        if record["active"] and not host.unit(HUB_UNIT).is_active:
            act(host, "start", HUB_UNIT)


def carry_out_order(host: Host, state_dir: Path, environment: Path) -> None:
    """What the starting hub was told to do with its database, once; nothing where nothing was.

    Raises TljhError when it fails, with the database as it was.
    """
    order, begun = state_dir / ORDER, state_dir / f"{ORDER}.begun"
    if host.info(order) is None:
        return
    try:
        host.rename(order, begun)
    except FileNotFoundError:
        return
    told = json.loads(host.read(begun) or b"{}")
    path, copy = Path(told["path"]), Path(told["copy"])
    copy_database(path, copy)
    try:
        migrate(host, environment, path)
    except TljhError:
        put_back_database(copy, path)
        raise
    host.remove(begun)


def copies(host: HostReader, state_dir: Path) -> Sequence[str]:
    """Copies of the database by their file names, the oldest first."""
    names = host.listdir(state_dir / COPIES)
    numbered = [name for name in names if re.fullmatch(r"\d+-\w+\.sqlite", name)]
    return sorted(numbered, key=lambda name: int(name.partition("-")[0]))


def migrate(host: Host, environment: Path, path: Path) -> None:
    """Bring a database that nobody uses to the schema of `environment`.

    Raises TljhError with the last words of the migration.
    """
    # JupyterHub looks for `alembic` there.
    search = f"{environment}/bin:{os.environ.get('PATH', os.defpath)}"
    done = host.run(
        [
            f"{environment}/bin/python",
            "-I",
            "-m",
            "tljh.hub.process.migrate_database",
            f"sqlite:///{path}",
        ],
        timeout_s=MIGRATION_TIMEOUT_S,
        env={"PATH": search},
    )
    if not done.ok:
        raise TljhError(
            "the hub's database cannot be brought to the new release's schema",
            why="\n".join((done.err or done.out).strip().splitlines()[-12:]),
            fix="nothing was changed; the lines above are the migration's own",
        )
