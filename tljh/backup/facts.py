"""Facts about backups: the repository's password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.host.secret_files import read_or_make_secret

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class BackupFacts:
    """The password of the repository (a new one in memory until a plan writes it)."""

    key: str


def read(host: HostReader, config: Config, paths: Paths) -> BackupFacts:
    """Read the password."""
    return BackupFacts(read_or_make_secret(host, paths.backup_key))
