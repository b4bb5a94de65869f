"""Disk quotas of people, by the system call itself: no package of tools is needed.

    python -m tljh.host.quota UID BYTES PATH

sets one, 0 for none: systemd runs it as root before the server of somebody who has a limit, which
the hub itself could not.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

# Q_GETQUOTA, Q_SETQUOTA and Q_XGETQSTAT of the kernel.
_GET, _SET, _STATE = 0x800007, 0x800008, 0x5805

_USERS_LIMITED = 2
_OF_USERS = 0
_LIMITS_OF_BLOCKS = 1
_BLOCK_BYTES = 1024


@dataclass(frozen=True)
class DiskQuota:
    """What somebody has on a file system, and may have; None for no limit."""

    used_bytes: int
    limit_bytes: int | None = None


@dataclass(frozen=True)
class FileSystem:
    """Where a path lies: the kind of file system, its device, and where it is mounted."""

    kind: str
    device: str
    mount: Path


class _Record(ctypes.Structure):
    # struct if_dqblk of the kernel.
    _fields_ = (
        ("hard_blocks", ctypes.c_uint64),
        ("soft_blocks", ctypes.c_uint64),
        ("used_bytes", ctypes.c_uint64),
        ("hard_files", ctypes.c_uint64),
        ("soft_files", ctypes.c_uint64),
        ("used_files", ctypes.c_uint64),
        ("block_time", ctypes.c_uint64),
        ("file_time", ctypes.c_uint64),
        ("valid", ctypes.c_uint32),
    )


class _State(ctypes.Structure):
    # The beginning of struct fs_quota_stat.
    _fields_ = (
        ("version", ctypes.c_int8),
        ("flags", ctypes.c_uint16),
        ("rest", ctypes.c_uint8 * 252),
    )


def file_system_of(path: Path, mountinfo: str) -> FileSystem | None:
    """Find the mount that a path lies on, in the text of /proc/self/mountinfo."""
    found: FileSystem | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        words, more = left.split(), right.split()
        if len(words) < 5 or len(more) < 2:
            continue
        mount = Path(words[4].replace("\\040", " "))
        # Later ones lie above earlier ones of the same place.
        if path.is_relative_to(mount) and (
            found is None or len(mount.parts) >= len(found.mount.parts)
        ):
            found = FileSystem(more[0], more[1], mount)
    return found


def _mounted(path: Path) -> FileSystem | None:
    return file_system_of(path.absolute(), Path("/proc/self/mountinfo").read_text())


def _call(command: int, device: str, uid: int, record: ctypes.Structure) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_int(command << 8 | _OF_USERS)
    if libc.quotactl(number, device.encode(), ctypes.c_int(uid), ctypes.byref(record)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), device)


def read_quota(path: Path, uid: int) -> DiskQuota | None:
    """What somebody has on the file system of a path; None where no limit would hold."""
    mounted = _mounted(path)
    if mounted is None:
        return None
    record, state = _Record(), _State()
    try:
        # ext4 may count without holding anybody to it.
        _call(_STATE, mounted.device, 0, state)
        if not state.flags & _USERS_LIMITED:
            return None
        _call(_GET, mounted.device, uid, record)
    except OSError:
        return None
    limit = int(record.hard_blocks) * _BLOCK_BYTES
    return DiskQuota(int(record.used_bytes), limit or None)


def write_quota(path: Path, uid: int, limit_bytes: int | None) -> None:
    """Limit somebody on the file system of a path. Raises OSError where it is not counted."""
    mounted = _mounted(path)
    if mounted is None:
        raise OSError(2, "no file system is mounted", str(path))
    blocks = -(-(limit_bytes or 0) // _BLOCK_BYTES)
    _call(_SET, mounted.device, uid, _Record(hard_blocks=blocks, valid=_LIMITS_OF_BLOCKS))


if __name__ == "__main__":
    write_quota(Path(sys.argv[3]), int(sys.argv[1]), int(sys.argv[2]) or None)
