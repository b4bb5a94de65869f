"""Settings of the users' home directories."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, section, setting


class KeptSnapshots(Section):
    """How many snapshots are kept; older ones are deleted after each new one."""

    latest: int = setting(8, help="Newest snapshots.", cost=Cost.LIVE, ge=1, le=1000)
    hourly: int = setting(
        24, help="Newest snapshots of so many hours.", cost=Cost.LIVE, ge=0, le=1000
    )
    daily: int = setting(
        14, help="Newest snapshots of so many days.", cost=Cost.LIVE, ge=0, le=1000
    )
    weekly: int = setting(
        8, help="Newest snapshots of so many weeks.", cost=Cost.LIVE, ge=0, le=1000
    )


class SnapshotsSettings(Section):
    """Read-only snapshots of all homes, in which users find their own old files."""

    enabled: bool = setting(
        False,
        help="Whether snapshots of the homes are made; they need btrfs or ZFS.",
        cost=Cost.LIVE,
        example="true",
    )
    schedule: Literal["15min", "hourly", "daily"] = setting(
        "hourly", help="How often a snapshot is made.", cost=Cost.LIVE, example="15min"
    )
    keep: KeptSnapshots = section(KeptSnapshots, help="How many snapshots are kept.")


class HomesSettings(Section):
    """The users' home directories."""

    snapshots: SnapshotsSettings = section(SnapshotsSettings, help="Snapshots of the homes.")
