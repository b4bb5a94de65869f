"""The hub's database of a backup, in the place of the current one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.backup import restic
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import copy_database, find_damage, restore_database
from tljh.hub.database_resource import dump_server, load_copy, migrate_copy, restore_copy
from tljh.settings.database_address import DatabaseAddress
from tljh.systemd.unit_resource import act


@dataclass(frozen=True)
class DatabaseRestored(Resource):
    """The database of a backup; the current one is kept as a copy, for the rollback."""

    paths: Paths
    repository: restic.Repository
    snapshot: str
    inside: Path
    server: DatabaseAddress | None = None

    kind: ClassVar[str] = "restored-database"
    # The hub is stopped for the exchange, so its unit's own change comes after it.
    stage: ClassVar[Stage] = Stage.SERVICES
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.hub_database)

    def difference(self, host: HostReader) -> Difference | None:
        text = f"as in backup {self.snapshot}; requests wait meanwhile"
        return Difference("~", text)

    def before(self, host: HostReader) -> Record:
        record: Record = {
            "path": str(self.paths.hub_database),
            "copy": str(self._replaced),
            "active": host.unit(HUB_UNIT).is_active,
        }
        if self.server is not None:
            record["server"] = {**self.server.as_order(), "kind": self.server.kind}
            record["environment"] = str(self.paths.hub)
        return record

    @property
    def _replaced(self) -> Path:
        return self.paths.backup_dir / "replaced.sqlite"

    def apply(self, host: Host, progress: Progress) -> None:
        with tempfile.TemporaryDirectory(dir=self.paths.backup_dir, prefix="scratch-") as scratch:
            restored = self._fetch(host, Path(scratch))
            was_active = host.unit(HUB_UNIT).is_active
            if was_active:
                act(host, "stop", HUB_UNIT)
            if self.server is None:
                copy_database(self.paths.hub_database, self._replaced)
                restore_database(restored, self.paths.hub_database)
            else:
                # The copy of a database of another schema would not fit the tables of this release.
                migrate_copy(host, self.paths.hub, restored)
                dump_server(host, self.paths.hub, self.server, self._replaced)
                load_copy(host, self.paths.hub, restored, self.server)
            if was_active:
                act(host, "start", HUB_UNIT)

    def _fetch(self, host: Host, scratch: Path) -> Path:
        restic.restore(host, self.repository, self.snapshot, [self.inside], scratch)
        restored = scratch / self.inside.relative_to("/")
        damage = find_damage(restored) if restored.is_file() else "it has none"
        if damage:
            raise TljhError(
                f"the database of backup {self.snapshot} cannot be restored",
                why=damage,
                fix="choose another backup: sudo tljh backup list",
            )
        return restored

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if not Path(record["copy"]).is_file():
            return
        if host.unit(HUB_UNIT).load != "not-found":
            act(host, "stop", HUB_UNIT)
        restore_copy(host, record)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        if record["active"] and not host.unit(HUB_UNIT).is_active:
            act(host, "start", HUB_UNIT)
