"""First passwords of new users as a resource: written to the authenticator's password store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.progress import Progress, format_count
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.interface import Host, HostReader
from tljh.host.password_store import read_logins, store_hashes


@dataclass(frozen=True)
class FirstPasswords(Resource):
    """First passwords by login name, as bcrypt hashes; an existing password stays.

    One resource holds those of all new users: the journal syncs the disk twice for each step.
    """

    path: Path
    hashes: Mapping[str, bytes] = field(repr=False)

    kind: ClassVar[str] = "password"

    @property
    def name(self) -> str:
        return ", ".join(self.hashes) if len(self.hashes) < 5 else f"of {len(self.hashes)} users"

    def _missing(self) -> dict[str, bytes]:
        existing = set(read_logins(self.path))
        return {login: hashed for login, hashed in self.hashes.items() if login not in existing}

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing()
        if not missing:
            return None
        return Difference("+", format_count(len(missing), "first password"))

    def before(self, host: HostReader) -> Record:
        return {"path": str(self.path), "new": sorted(self._missing())}

    def apply(self, host: Host, progress: Progress) -> None:
        store_hashes(self.path, self._missing())

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if path.parent.is_dir():
            store_hashes(path, dict.fromkeys(record["new"]))
