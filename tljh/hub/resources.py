"""Resources of the hub: first passwords, claims of administrators, plugins' own installations."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.facts import Facts
from tljh.host.base import Host, HostReader
from tljh.host.passwords import store_hash, stored_hash
from tljh.hub.claims import claim_file, new_claim
from tljh.output import Progress
from tljh.paths import Paths
from tljh.plugins.manager import call, installed_plugins
from tljh.resources import Difference, File, Record, Resource, Undo


@dataclass(frozen=True)
class FirstPassword(Resource):
    """The first password of a login name, as a bcrypt hash; one that is there already stays."""

    path: Path
    login: str
    hashed: bytes

    kind: ClassVar[str] = "password"

    @property
    def name(self) -> str:
        return self.login

    def difference(self, host: HostReader) -> Difference | None:
        if stored_hash(self.path, self.login) is not None:
            return None
        return Difference("+", "first password")

    def before(self, host: HostReader) -> Record:
        old = stored_hash(self.path, self.login)
        return {
            "path": str(self.path),
            "login": self.login,
            "hash": base64.b64encode(old).decode() if old else None,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        store_hash(self.path, self.login, self.hashed)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        old = record["hash"]
        path = Path(record["path"])
        if old is not None or path.parent.is_dir():
            store_hash(path, record["login"], base64.b64decode(old) if old else None)


@dataclass(frozen=True)
class PluginInstallations(Resource):
    """`tljh_post_install` of every plugin, once for each set of plugins."""

    marker: Path
    plugins: tuple[str, ...]

    kind: ClassVar[str] = "plugins"
    undo: ClassVar[Undo] = Undo.ONE_WAY

    @property
    def name(self) -> str:
        return ", ".join(self.plugins)

    @property
    def _text(self) -> bytes:
        return "\n".join(self.plugins).encode() + b"\n"

    def difference(self, host: HostReader) -> Difference | None:
        if not self.plugins or host.read(self.marker) == self._text:
            return None
        return Difference("!", "runs tljh_post_install")

    def before(self, host: HostReader) -> Record:
        old = host.read(self.marker)
        return {"marker": str(self.marker), "old": old.decode() if old else None}

    def apply(self, host: Host, progress: Progress) -> None:
        call(installed_plugins(), "tljh_post_install")
        host.write(self.marker, self._text, mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # What a plugin did cannot be undone; that it was done is forgotten, so it runs again.
        if record["old"] is None:
            host.remove(Path(record["marker"]))
        else:
            host.write(Path(record["marker"]), record["old"].encode(), mode=0o600)


def new_claims(paths: Paths, facts: Facts, admins: Iterable[str]) -> list[Resource]:
    """A claim for each administrator who has neither a password nor a claim."""
    return [
        File(claim_file(paths.state_dir, login), new_claim(login).as_bytes(), 0o600, secret=True)
        for login in sorted(admins)
        if login not in facts.logins_with_password and login not in facts.claims
    ]
