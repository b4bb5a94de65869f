"""Facts about snapshots of the homes: whether their file system can make them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.home_snapshots import SnapshotPlace, find_place
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class SnapshotFacts:
    """Where snapshots go; None where they are switched off, or the file system makes none."""

    place: SnapshotPlace | None


def read(host: HostReader, config: Config, paths: Paths) -> SnapshotFacts:
    """Look at the file system of the homes, if snapshots are asked for."""
    if not config.homes.snapshots.enabled:
        return SnapshotFacts(None)
    place = find_place(host, Path(config.users.home_root))
    return SnapshotFacts(place if isinstance(place, SnapshotPlace) else None)
