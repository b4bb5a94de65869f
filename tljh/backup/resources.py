"""The repository of backups with its password, and the timers that make and check backups."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.backup import restic

# A rollback finds the kinds of changes among the imported modules.
from tljh.backup import restored as restored
from tljh.backup.facts import BackupFacts
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader
from tljh.plugins.manager import Contributions
from tljh.settings.package_variables import build_package_variables, select_network_variables
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.backup import BackupSettings

SERVICE, TIMER = "tljh-backup.service", "tljh-backup.timer"
CHECK_SERVICE, CHECK_TIMER = "tljh-backup-check.service", "tljh-backup-check.timer"


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return what backups need; without a repository, nothing of it stays."""
    settings = config.backup
    if settings.repository is None:
        names = (SERVICE, TIMER, CHECK_SERVICE, CHECK_TIMER)
        units = [TriggerUnit(name, is_wanted=False) for name in (TIMER, CHECK_TIMER)]
        return [*units, *(Absent(paths.units_dir / name) for name in names)]
    key = facts.of(BackupFacts).key
    network = select_network_variables(build_package_variables(config.user_environment))
    return [
        AptPackages(list_packages(settings.repository)),
        Directory(paths.backup_dir, 0o700),
        File(paths.backup_key, f"{key}\n".encode(), mode=0o600, secret=True),
        *_build_units(settings, paths),
        RepositoryCreated(
            get_repository(settings, paths, network), paths.backup_dir / "repository"
        ),
    ]


def list_packages(location: str) -> tuple[str, ...]:
    """Return the Debian packages by which a repository is reached."""
    return ("restic", "openssh-client") if location.startswith("sftp:") else ("restic",)


def get_repository(
    settings: BackupSettings, paths: Paths, network: Mapping[str, str]
) -> restic.Repository:
    """Return the repository of the settings, which name one; `network` are variables to reach it.

    The settings' own variables win.
    """
    assert settings.repository is not None
    variables = {**network, **settings.secrets}
    return restic.Repository(
        settings.repository, paths.backup_key, paths.cache / "restic", variables
    )


def _build_units(settings: BackupSettings, paths: Paths) -> list[Resource]:
    built: list[Resource] = []
    for service, timer in ((SERVICE, TIMER), (CHECK_SERVICE, CHECK_TIMER)):
        files = (
            File(
                paths.units_dir / service,
                render_unit(service, hub=paths.hub, prefix=paths.prefix),
            ),
            File(paths.units_dir / timer, render_unit(timer, schedule=settings.schedule)),
        )
        built += [*files, TriggerUnit(timer, restart_on=files)]
    return built


@dataclass(frozen=True)
class RepositoryCreated(Resource):
    """The repository exists and opens with our password; `marker` says which one was seen."""

    repository: restic.Repository
    marker: Path

    kind: ClassVar[str] = "backup-repository"
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return self.repository.name

    @property
    def _digest(self) -> bytes:
        return hashlib.sha256(self.repository.location.encode()).hexdigest().encode() + b"\n"

    def difference(self, host: HostReader) -> Difference | None:
        if host.read(self.marker) == self._digest:
            return None
        return Difference("+", "is created, unless it is there already")

    def before(self, host: HostReader) -> Record:
        old = host.read(self.marker)
        return {
            "marker": str(self.marker),
            "old": old.decode() if old else None,
            "name": self.repository.name,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        with progress.step(f"open the repository {self.name}"):
            if not restic.exists(host, self.repository):
                restic.run(host, self.repository, ["init"])
        host.write(self.marker, self._digest, mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        marker = Path(record["marker"])
        if record["old"] is None:
            host.remove(marker)
        else:
            host.write(marker, record["old"].encode(), mode=0o600)
        return None
