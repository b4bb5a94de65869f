"""What of the user environment belongs into a backup: all of it, as it is.

A list of packages would be smaller, but packages disappear from channels, and no list has what
admins copied or edited by hand. restic stores each file once, whatever the number of backups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.backup_contents import BackupContents
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


def contents(host: HostReader, config: Config, paths: Paths) -> BackupContents:
    """Return the user environment, named ones, and their kernels, as far as there are any."""
    trees = (paths.user, paths.environments, paths.kernels)
    return BackupContents(trees=tuple(tree for tree in trees if host.info(tree)))
