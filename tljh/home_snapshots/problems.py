"""The problem of snapshots on a file system that makes none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tljh.host.home_snapshots import Obstacle, find_place
from tljh.host.interface import HostReader
from tljh.settings.declaration import Problem
from tljh.settings.root import Config

ENABLED = ("homes", "snapshots", "enabled")


def find_snapshot_problems(config: Config, host: HostReader) -> Iterator[Problem]:
    """Yield a warning if the file system of the homes makes no snapshots.

    It stops nothing, so that a hub can be restored to a machine with another file system.
    """
    if not config.homes.snapshots.enabled:
        return
    place = find_place(host, Path(config.users.home_root))
    if isinstance(place, Obstacle):
        yield Problem(
            ENABLED,
            "homes.snapshots.enabled has no effect",
            why=place.why,
            fix=place.fix,
            severity="warning",
        )
