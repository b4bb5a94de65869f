"""Passwords of removed users, as a resource that is absent."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.password_store import read_hash, read_logins, store_hashes


@dataclass(frozen=True)
class ForgottenPasswords(Resource):
    """No password of these login names: the next user of a name must not inherit one."""

    path: Path
    logins: tuple[str, ...]

    kind: ClassVar[str] = "password-forgotten"
    # The user can log in until the hub and the machine have ended all access.
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return ", ".join(self.logins)

    def _existing(self) -> list[str]:
        existing = set(read_logins(self.path))
        return [login for login in self.logins if login in existing]

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("-", "password") if self._existing() else None

    def before(self, host: HostReader) -> Record:
        hashes = {login: read_hash(self.path, login) for login in self._existing()}
        encoded = {
            login: base64.b64encode(hashed).decode() for login, hashed in hashes.items() if hashed
        }
        return {"path": str(self.path), "hashes": encoded}

    def apply(self, host: Host, progress: Progress) -> None:
        store_hashes(self.path, dict.fromkeys(self.logins))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        hashes = record["hashes"].items()
        store_hashes(
            Path(record["path"]), {login: base64.b64decode(text) for login, text in hashes}
        )
