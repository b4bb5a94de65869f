"""Resources of the hub: first passwords, claims of administrators, plugins' own installations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.clock import utc_now
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.file_resources import File
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.interface import Host, HostReader
from tljh.host.password_store import logins, store_hashes
from tljh.operations.facts import Facts
from tljh.users.claims import claim_file, new_claim


@dataclass(frozen=True)
class FirstPasswords(Resource):
    """First passwords by login name, as bcrypt hashes; those that are there already stay.

    One resource for a whole class: each step of a plan is written to the disk twice.
    """

    path: Path
    hashes: Mapping[str, bytes] = field(repr=False)

    kind: ClassVar[str] = "password"

    @property
    def name(self) -> str:
        return ", ".join(self.hashes) if len(self.hashes) < 5 else f"of {len(self.hashes)} people"

    def _missing(self) -> dict[str, bytes]:
        there = set(logins(self.path))
        return {login: made for login, made in self.hashes.items() if login not in there}

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing()
        if not missing:
            return None
        return Difference("+", "first password" if len(missing) == 1 else f"{len(missing)} first")

    def before(self, host: HostReader) -> Record:
        return {"path": str(self.path), "new": sorted(self._missing())}

    def apply(self, host: Host, progress: Progress) -> None:
        store_hashes(self.path, self._missing())

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if path.parent.is_dir():
            store_hashes(path, dict.fromkeys(record["new"]))


def new_claims(
    paths: Paths, facts: Facts, admins: Iterable[str], *, renews: bool = False
) -> list[Resource]:
    """A claim for each administrator who has neither a password nor a claim.

    With `renews` an expired claim counts as none: what prints the link must print one that opens.
    """
    claimed = {
        login for login, claim in facts.claims.items() if not renews or claim.is_valid(utc_now())
    }
    return [
        File(claim_file(paths.state_dir, login), new_claim(login).as_bytes(), 0o600, secret=True)
        for login in sorted(admins)
        if login not in facts.logins_with_password and login not in claimed
    ]
