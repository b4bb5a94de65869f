"""Snapshots of the directory of the homes, on btrfs and ZFS.

A snapshot is made in a moment, shares the unchanged data with the homes, and is read-only. Each is
a directory with all homes as they were, with their owners and modes, so that users read their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from shlex import quote
from typing import Literal

from tljh.base.errors import TljhError
from tljh.host.interface import Host, HostReader

# The package with the command of btrfs.
BTRFS_PACKAGE = "btrfs-progs"
# btrfs gives this inode to the top of each subvolume.
_TOP_INODE = "256"
# Others make snapshots, too: only those with such a name are ours.
_NAME = re.compile(r"^tljh-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ$")
_TIME_FORMAT = "tljh-%Y-%m-%dT%H-%M-%SZ"
# btrfs waits until the disk has what was written before.
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class SnapshotPlace:
    """The file system of the homes; `dataset` is its name in ZFS."""

    kind: Literal["btrfs", "zfs"]
    homes: Path
    dataset: str = ""

    @property
    def directory(self) -> Path:
        """Where each snapshot is a directory by its name."""
        return self.homes / (".snapshots" if self.kind == "btrfs" else ".zfs/snapshot")


@dataclass(frozen=True)
class Obstacle:
    """Why there are no snapshots of a directory, and what an admin can do about it."""

    why: str
    fix: str


def find_place(host: HostReader, homes: Path) -> SnapshotPlace | Obstacle:
    """Return where snapshots of a directory go, or why it can have none."""
    kind = host.query(["stat", "--file-system", "--format=%T", str(homes)]).out.strip()
    if kind == "btrfs":
        return _find_subvolume(host, homes)
    if kind == "zfs":
        return _find_dataset(host, homes)
    return Obstacle(
        f"{homes} is on {kind or 'no disk'}, which makes no snapshots",
        "make a file system with btrfs or ZFS on a disk, mount it, and move the homes there: "
        "sudo tljh homes move DIRECTORY",
    )


def _find_subvolume(host: HostReader, homes: Path) -> SnapshotPlace | Obstacle:
    place = SnapshotPlace("btrfs", homes)
    new = homes.parent / f"{homes.name}-snapshots"
    if _read_inode(host, homes) != _TOP_INODE:
        return Obstacle(
            f"{homes} is no subvolume of its own",
            f"sudo btrfs subvolume create {quote(str(new))} && sudo tljh homes move "
            f"{quote(str(new))}",
        )
    if _read_inode(host, place.directory) == _TOP_INODE:
        return Obstacle(
            f"{place.directory} is a subvolume, so another program (snapper) makes snapshots of "
            "the homes",
            "use those: sudo snapper list-configs; or end it: sudo snapper -c CONFIG delete-config",
        )
    return place


def _read_inode(host: HostReader, path: Path) -> str:
    return host.query(["stat", "--format=%i", str(path)]).out.strip()


def _find_dataset(host: HostReader, homes: Path) -> SnapshotPlace | Obstacle:
    argv = ["zfs", "list", "-H", "-o", "name,mountpoint", str(homes)]
    name, _, mountpoint = host.query(argv).out.strip().partition("\t")
    if not name or Path(mountpoint) != homes:
        return Obstacle(
            f"{homes} is no dataset of its own",
            "sudo zfs create -o mountpoint=/homes POOL/homes && sudo tljh homes move /homes",
        )
    return SnapshotPlace("zfs", homes, name)


def list_snapshots(host: HostReader, place: SnapshotPlace) -> list[str]:
    """Return the names of our snapshots, oldest first."""
    return [name for name in host.listdir(place.directory) if _NAME.match(name)]


def get_time(name: str) -> datetime:
    """Return when a snapshot was made, in UTC."""
    return datetime.strptime(name, _TIME_FORMAT).replace(tzinfo=timezone.utc)


def make_snapshot(host: Host, place: SnapshotPlace, current_time: datetime) -> str:
    """Make a snapshot and return its name. Raises TljhError with what the file system says."""
    name = current_time.astimezone(timezone.utc).strftime(_TIME_FORMAT)
    if name in list_snapshots(host, place):
        return name
    if place.kind == "btrfs":
        target = place.directory / name
        argv = ["btrfs", "subvolume", "snapshot", "-r", str(place.homes), str(target)]
    else:
        argv = ["zfs", "snapshot", f"{place.dataset}@{name}"]
    _run(host, argv, f"no snapshot of {place.homes} could be made")
    return name


def delete_snapshot(host: Host, place: SnapshotPlace, name: str) -> None:
    """Delete one of our snapshots. Raises TljhError with what the file system says."""
    if not _NAME.match(name):
        raise TljhError(f"{name} is no snapshot of tljh", fix="see: sudo tljh homes snapshots")
    if place.kind == "btrfs":
        argv = ["btrfs", "subvolume", "delete", str(place.directory / name)]
    else:
        argv = ["zfs", "destroy", f"{place.dataset}@{name}"]
    _run(host, argv, f"the snapshot {name} could not be deleted")


def _run(host: Host, argv: Sequence[str], what: str) -> None:
    done = host.run(argv, timeout_s=TIMEOUT_S)
    if not done.ok:
        raise TljhError(what, why=(done.err or done.out).strip())


def find_uids(host: HostReader, roots: Sequence[Path]) -> Iterator[int]:
    """Yield the uids without an account that own a home in a snapshot below directories of homes.

    Who got such a uid could read the old home.
    """
    for root in roots:
        for directory in (root / ".snapshots", root / ".zfs/snapshot"):
            for name in filter(_NAME.match, host.listdir(directory)):
                for home in host.listdir(directory / name):
                    info = host.info(directory / name / home)
                    # The owner is a name where the machine knows one, else a number.
                    if info is not None and info.owner.isdigit():
                        yield int(info.owner)
