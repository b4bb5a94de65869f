"""Snapshots of the homes: made, pruned and listed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.home_snapshots import (
    Obstacle,
    SnapshotPlace,
    delete_snapshot,
    find_place,
    get_time,
    list_snapshots,
    make_snapshot,
)
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.settings.root import Config
from tljh.settings.sections.homes import KeptSnapshots


@dataclass(frozen=True)
class HomeSnapshots:
    """The snapshots of the homes, oldest first; each is a directory below `directory`."""

    directory: Path
    names: Sequence[str]
    is_enabled: bool


def read_snapshots(host: HostReader, paths: Paths) -> HomeSnapshots:
    """Return the snapshots that there are. Raises TljhError where there can be none."""
    config, place = _find(host, paths)
    names = list_snapshots(host, place)
    return HomeSnapshots(place.directory, names, config.homes.snapshots.enabled)


def take_snapshot(host: Host, paths: Paths, progress: Progress) -> tuple[Path, list[str]]:
    """Make a snapshot, then delete those that are not kept; return its directory and their names.

    Raises TljhError where the file system makes none, or has no room.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        config, place = _find(host, paths)
        if place.kind == "btrfs" and host.info(place.directory) is None:
            host.mkdir(place.directory, mode=0o755)
        with progress.step(f"make a snapshot of {place.homes}"):
            name = make_snapshot(host, place, get_utc_time())
        expired = find_expired(list_snapshots(host, place), config.homes.snapshots.keep)
        for old in expired:
            with progress.step(f"delete the snapshot {old}"):
                delete_snapshot(host, place, old)
    return place.directory / name, expired


def _find(host: HostReader, paths: Paths) -> tuple[Config, SnapshotPlace]:
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    place = find_place(host, Path(config.users.home_root))
    if isinstance(place, Obstacle):
        raise TljhError("the homes can have no snapshots", why=place.why, fix=place.fix)
    return config, place


def find_expired(names: Sequence[str], keep: KeptSnapshots) -> list[str]:
    """Return the names of snapshots that no rule keeps.

    A rule keeps the newest of each hour, day or week (of UTC), for so many that have one.
    """
    newest_first = sorted(names, reverse=True)
    kept = set(newest_first[: keep.latest])
    rules: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.hourly, lambda time: (time.date(), time.hour)),
        (keep.daily, lambda time: time.date()),
        (keep.weekly, lambda time: time.isocalendar()[:2]),
    )
    for count, get_period in rules:
        newest: dict[object, str] = {}
        for name in newest_first:
            newest.setdefault(get_period(get_time(name)), name)
        kept |= set(list(newest.values())[:count])
    return [name for name in names if name not in kept]
