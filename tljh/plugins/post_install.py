"""The hook `tljh_post_install`, as a resource of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader
from tljh.plugins.manager import call, installed_plugins


@dataclass(frozen=True)
class PluginInstallations(Resource):
    """A run of every plugin's `tljh_post_install`, once for each set of plugins.

    The file `marker` names the plugins of the last run.
    """

    marker: Path
    plugins: tuple[str, ...]

    kind: ClassVar[str] = "plugins"
    stage: ClassVar[Stage] = Stage.LAST
    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

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
        # The plugin's own effects stay. The marker goes back, so that the next apply runs it again.
        if record["old"] is None:
            host.remove(Path(record["marker"]))
        else:
            host.write(Path(record["marker"]), record["old"].encode(), mode=0o600)
