"""Walk a tree that users can change, as root, without ever following a path of theirs.

Each entry is opened relative to the descriptor of its directory, with O_NOFOLLOW, and is used by
its descriptor only. A user who swaps a directory for a symbolic link between two steps changes
nothing: the descriptor stays with what was opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Deeper than any tree of work, and below the limits of open files and of recursion. What is
# deeper is left as it is.
MOST_LEVELS = 300


@dataclass(frozen=True)
class OpenedEntry:
    """An entry of the tree; `path` is valid while the walk is at this entry."""

    descriptor: int
    status: os.stat_result

    @property
    def path(self) -> str:
        # The kernel resolves it to the open file, not by name.
        return f"/proc/self/fd/{self.descriptor}"

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.status.st_mode)


def walk(root: Path) -> Iterator[OpenedEntry]:
    """Yield a directory and every file and directory below it, by descriptors, not by paths.

    So a user who exchanges a directory meanwhile cannot lead the caller elsewhere. Left out:
    symbolic links, devices, sockets and pipes, other file systems, and hard links to files of root.
    Raises OSError where `root` is no directory, or a link.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(root, flags)
    try:
        status = os.fstat(descriptor)
        yield OpenedEntry(descriptor, status)
        yield from _walk_below(descriptor, status.st_dev, 1)
    finally:
        os.close(descriptor)


def _walk_below(directory: int, device: int, level: int) -> Iterator[OpenedEntry]:
    try:
        readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    except OSError:
        return
    try:
        names = os.listdir(readable)  # noqa: PTH208 - pathlib has no descriptors
    finally:
        os.close(readable)
    for name in names:
        try:
            descriptor = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        except OSError:
            # Removed or renamed since the directory was read.
            continue
        try:
            status = os.fstat(descriptor)
            if not _is_ordinary(status) or status.st_dev != device:
                continue
            yield OpenedEntry(descriptor, status)
            if stat.S_ISDIR(status.st_mode) and level < MOST_LEVELS:
                yield from _walk_below(descriptor, device, level + 1)
        finally:
            os.close(descriptor)


def _is_ordinary(status: os.stat_result) -> bool:
    if stat.S_ISDIR(status.st_mode):
        return True
    # Without fs.protected_hardlinks a user can link a file of root into the tree.
    return stat.S_ISREG(status.st_mode) and not (status.st_nlink > 1 and status.st_uid == 0)
