"""Passwords that an admin replaces or that the native authenticator forgets, as resources."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.native_records import read_record, write_record
from tljh.host.password_store import read_hash, store_hash
from tljh.host.server_records import ServerPlace


@dataclass(frozen=True)
class NewPassword(Resource):
    """A new password of a first-use login, as a bcrypt hash, in place of any other."""

    path: Path
    login: str
    password_hash: bytes = field(repr=False)

    kind: ClassVar[str] = "password-new"

    @property
    def name(self) -> str:
        return self.login

    def difference(self, host: HostReader) -> Difference | None:
        current = read_hash(self.path, self.login)
        if current == self.password_hash:
            return None
        return Difference("~" if current else "+", "password")

    def before(self, host: HostReader) -> Record:
        return {
            "path": str(self.path),
            "login": self.login,
            "hash": _encode(read_hash(self.path, self.login)),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        store_hash(self.path, self.login, self.password_hash)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if path.parent.is_dir():
            store_hash(path, record["login"], _decoded(record["hash"]))


@dataclass(frozen=True)
class NativePassword(Resource):
    """The password of a record of the native authenticator; None deletes the whole record."""

    database: Path
    login: str
    password_hash: bytes | None = field(repr=False)
    server: ServerPlace | None = None

    kind: ClassVar[str] = "password-native"
    # The hub must have ended a removed user's access before the record is deleted.
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return self.login

    def read(self) -> dict[str, Any] | None:
        """Return the whole record; None if there is none."""
        if self.server is not None:
            return self.server.read_record(self.login)
        return read_record(self.database, self.login)

    def difference(self, host: HostReader) -> Difference | None:
        current = self.read()
        if current is None or current["password"] == self.password_hash:
            return None
        return Difference("~" if self.password_hash else "-", "password")

    def before(self, host: HostReader) -> Record:
        current = self.read()
        record: dict[str, Any] | None = None
        if current is not None:
            record = {**current, "password": _encode(current["password"])}
        return {
            "database": str(self.database),
            "login": self.login,
            "record": record,
            "server": self.server.as_json() if self.server else None,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        current = self.read()
        if current is None:
            return
        changed = {**current, "password": self.password_hash} if self.password_hash else None
        if self.server is not None:
            self.server.write_record(self.login, changed)
        else:
            write_record(self.database, self.login, changed)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        database, old = Path(record["database"]), record["record"]
        if old is None:
            return
        restored = {**old, "password": _decoded(old["password"])}
        if server := record.get("server"):
            ServerPlace(**server).write_record(record["login"], restored)
        elif database.is_file():
            write_record(database, record["login"], restored)


def _encode(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
