"""The timer that makes snapshots of the homes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.home_snapshots.facts import SnapshotFacts
from tljh.host.home_snapshots import BTRFS_PACKAGE
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.root import Config

SERVICE, TIMER = "tljh-snapshots.service", "tljh-snapshots.timer"
# As systemd writes it.
CALENDARS = {"15min": "*:0/15", "hourly": "hourly", "daily": "daily"}


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the timer and its service; without snapshots nothing of it stays, but for those made.

    Where the file system makes none, a warning says so, and `tljh status` reports it.
    """
    settings, place = config.homes.snapshots, facts.of(SnapshotFacts).place
    service, timer = paths.units_dir / SERVICE, paths.units_dir / TIMER
    if place is None:
        return [TriggerUnit(TIMER, is_wanted=False), Absent(timer), Absent(service)]
    files = (
        File(service, render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix)),
        File(timer, render_unit(TIMER, calendar=CALENDARS[settings.schedule])),
    )
    of_btrfs = [AptPackages((BTRFS_PACKAGE,)), Directory(place.directory, 0o755)]
    return [
        *(of_btrfs if place.kind == "btrfs" else ()),
        *files,
        TriggerUnit(TIMER, restart_on=files),
    ]
