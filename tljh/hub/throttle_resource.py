"""The throttle of a user's logins in the running hub, as a resource that is cleared."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi


@dataclass(frozen=True)
class ClearedThrottle(Resource):
    """No bad logins counted for a user whose password an admin has replaced."""

    login: str
    url: str
    token_file: Path

    kind: ClassVar[str] = "throttle-cleared"
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return self.login

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", "bad logins are forgotten")

    def before(self, host: HostReader) -> Record:
        return {}

    def apply(self, host: Host, progress: Progress) -> None:
        # The counts are in the hub's memory: a hub that does not answer has none.
        with contextlib.suppress(TljhError):
            token = read_token(host, self.token_file) or ""
            HubApi(host, self.url, token).act("forget-failures", self.login)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        """Do nothing: the counts come again with the next bad logins."""
