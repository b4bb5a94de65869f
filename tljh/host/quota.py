"""Disk quotas of users, by the system call itself, so that no package of tools is needed.

    python -m tljh.host.quota UID BYTES PATH

sets the quota of one user; 0 removes it. systemd runs it as root before it starts the server of a
user who has a limit, because the hub's own unit may not change quotas.
"""

from __future__ import annotations

import ctypes
import os
import sys
from dataclasses import dataclass
from pathlib import Path

# Q_GETQUOTA, Q_SETQUOTA and Q_XGETQSTAT of <linux/quota.h> and <linux/dqblk_xfs.h>.
_GET, _SET, _STATE = 0x800007, 0x800008, 0x5805

# FS_QUOTA_UDQ_ENFD: limits of users are enforced, not only counted.
_USER_LIMITS_ENFORCED = 2

# USRQUOTA and QIF_BLIMITS.
_USER_QUOTA = 0
_BLOCK_LIMITS = 1
_BLOCK_BYTES = 1024


@dataclass(frozen=True)
class DiskQuota:
    """Used and allowed space of a user on a file system; None for no limit."""

    used_bytes: int
    limit_bytes: int | None = None


@dataclass(frozen=True)
class FileSystem:
    """A mounted file system: its type, its device and its mount point."""

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


def find_file_system(path: Path, mountinfo: str) -> FileSystem | None:
    """Return the file system that holds `path`, from the text of /proc/self/mountinfo."""
    innermost: FileSystem | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        words, more = left.split(), right.split()
        if len(words) < 5 or len(more) < 2:
            continue
        mount = Path(words[4].replace("\\040", " "))
        # `>=`: of two mounts on one directory, the later one hides the earlier one.
        if path.is_relative_to(mount) and (
            innermost is None or len(mount.parts) >= len(innermost.mount.parts)
        ):
            innermost = FileSystem(more[0], more[1], mount)
    return innermost


def _read_file_system(path: Path) -> FileSystem | None:
    return find_file_system(path.absolute(), Path("/proc/self/mountinfo").read_text())


def _call_quotactl(command: int, device: str, uid: int, record: ctypes.Structure) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_int(command << 8 | _USER_QUOTA)
    if libc.quotactl(number, device.encode(), ctypes.c_int(uid), ctypes.byref(record)) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), device)


def read_quota(path: Path, uid: int) -> DiskQuota | None:
    """Return a user's quota on the file system of `path`; None if it enforces none."""
    file_system = _read_file_system(path)
    if file_system is None:
        return None
    record, state = _Record(), _State()
    try:
        # ext4 can count the space of users without limiting them.
        _call_quotactl(_STATE, file_system.device, 0, state)
        if not state.flags & _USER_LIMITS_ENFORCED:
            return None
        _call_quotactl(_GET, file_system.device, uid, record)
    except OSError:
        return None
    limit = int(record.hard_blocks) * _BLOCK_BYTES
    return DiskQuota(int(record.used_bytes), limit or None)


def write_quota(path: Path, uid: int, limit_bytes: int | None) -> None:
    """Limit a user on the file system of `path`. Raises OSError if it has no quotas."""
    file_system = _read_file_system(path)
    if file_system is None:
        raise OSError(2, "no file system is mounted", str(path))
    # Rounded up, so that a small limit does not become 0, which means none.
    blocks = -(-(limit_bytes or 0) // _BLOCK_BYTES)
    _call_quotactl(_SET, file_system.device, uid, _Record(hard_blocks=blocks, valid=_BLOCK_LIMITS))


if __name__ == "__main__":
    write_quota(Path(sys.argv[3]), int(sys.argv[1]), int(sys.argv[2]) or None)
