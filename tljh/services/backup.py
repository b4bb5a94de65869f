"""What of services belongs into a backup: their data. Their tokens are in the hub's state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.backup_contents import BackupContents
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contents(host: HostReader, config: Config, paths: Paths) -> BackupContents:
    """Return the data of all services, removed ones included."""
    data = Paths.services_data
    return BackupContents(trees=(data,) if host.info(data) is not None else ())
