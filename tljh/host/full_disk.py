"""Disks that are full: recognized in logs and errors, and named by their mount point."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

from tljh.base.errors import Finding
from tljh.host.interface import HostReader

# Of the kernel, SQLite, PostgreSQL, MySQL, Rust and Go.
_FULL = re.compile(
    r"no space left on device|database or disk is full|\bENOSPC\b|\bErrno 28\b|\bos error 28\b"
    r"|SQLITE_FULL|could not (?:extend|write) (?:to )?file .*: No space|The table '.*' is full",
    re.IGNORECASE,
)
_OVER_QUOTA = re.compile(r"disk quota exceeded|\bEDQUOT\b|\bErrno 122\b", re.IGNORECASE)
_PATH = re.compile(r"['\"](/[^'\"\n]+)['\"]")
# A file system with less is full: a write of that size already failed.
FULL_BYTES = 1 << 20
FULL_FILES = 16
MOUNTS = Path("/proc/self/mounts")
# File systems on disks and in memory; others have no size.
KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay")
FIX = "list what takes it: sudo tljh disk; and remove what may go: sudo tljh disk --clean"


def find_full_line(text: str) -> str | None:
    """Return the last line that says that a disk is full; None if there is none."""
    lines = [line.strip() for line in text.splitlines() if _FULL.search(line)]
    return lines[-1] if lines else None


def is_over_quota(text: str) -> bool:
    """Return whether a text says that a user has no disk space left of what is allowed."""
    return _OVER_QUOTA.search(text) is not None


def find_full_disks(host: HostReader, paths: Iterable[str]) -> dict[str, str]:
    """Return the mount points of `paths` that are full, each with what it lacks."""
    full: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        answer = host.query(["df", "--output=avail,iavail,itotal,target", "-B1", path])
        line = answer.out.strip().splitlines()[-1:] if answer.ok else []
        cells = line[0].split(None, 3) if line else []
        if len(cells) != 4:
            continue
        free_bytes, free_files, files, mount = cells
        if free_bytes.isdigit() and int(free_bytes) < FULL_BYTES:
            full[mount] = "no disk space"
        # btrfs has no limit of files, and reports 0 of 0.
        elif files not in ("0", "-") and free_files.isdigit() and int(free_files) < FULL_FILES:
            full[mount] = "no inodes, each of which is one file,"
    return full


def _list_writable_mounts(host: HostReader) -> list[str]:
    """Return where file systems are mounted that can be written."""
    lines = (host.read(MOUNTS) or b"").decode(errors="replace").splitlines()
    cells = [line.split() for line in lines]
    return [
        row[1].replace("\\040", " ")
        for row in cells
        if len(row) > 3 and row[2] in KINDS and "rw" in row[3].split(",")
    ]


def describe_full_disk(host: HostReader, line: str, paths: Iterable[str]) -> Finding:
    """Return the finding for a line that says that a disk is full.

    `paths` are where the program writes; a path in the line counts, too.
    """
    named = [str(PurePath(path).parent) for path in _PATH.findall(line)]
    full = find_full_disks(host, [*named, *paths]) or find_full_disks(
        host, _list_writable_mounts(host)
    )
    if full:
        what = " and ".join(f"{lack} left on {mount}" for mount, lack in full.items())
    else:
        # There is room again, or it is a file system of another kind.
        what = "no disk space left" + (f" for {named[0]}" if named else "")
    return Finding(what, why=line, fix=FIX)
