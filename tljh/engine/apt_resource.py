"""Debian packages as a resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader


@dataclass(frozen=True)
class AptPackages(Resource):
    """Debian packages that must be installed; a rollback keeps them.

    `variables` are those by which packages are reached; they may have secrets.
    """

    packages: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    kind: ClassVar[str] = "apt"
    stage: ClassVar[Stage] = Stage.PREPARE
    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

    @property
    def name(self) -> str:
        return " ".join(self.packages)

    def _missing(self, host: HostReader) -> list[str]:
        return [name for name in self.packages if host.package(name) is None]

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing(host)
        return Difference("!", f"installs {', '.join(missing)}") if missing else None

    def before(self, host: HostReader) -> Record:
        return {"missing": self._missing(host)}

    def apply(self, host: Host, progress: Progress) -> None:
        from tljh.host.apt import install

        install(host, self._missing(host), progress, self.variables)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        # Other packages may depend on these since; removing them could break the machine.
        return
