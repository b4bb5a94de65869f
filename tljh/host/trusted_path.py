"""Open a path as root without following a link that another account could have put there.

Each component is opened relative to the descriptor of its directory, with O_NOFOLLOW. A symbolic
link counts only in a directory that root alone can change: an admin's /home -> /data/home works,
a link that a user swaps in does not.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_LINKS = 40
_NO_FOLLOW = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def open_trusted_path(path: Path) -> Iterator[int]:
    """Yield a descriptor (O_PATH) of what is at an absolute path.

    Raises OSError for a missing path, and for a link that is not root's.
    """
    descriptor = _open(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def open_trusted_directory(path: Path) -> Iterator[int]:
    """Yield a descriptor of a directory that can be listed; the same errors as `trusted_path`."""
    with open_trusted_path(path) as descriptor:
        directory = open_directory(".", descriptor)
        try:
            yield directory
        finally:
            os.close(directory)


def open_directory(name: str, directory: int) -> int:
    """Open a directory in another one, to list it and to use it as `dir_fd`; never a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(name, flags, dir_fd=directory)


def get_proc_path(descriptor: int) -> str:
    """Return a path that the kernel resolves to an open descriptor, not by name."""
    return f"/proc/self/fd/{descriptor}"


def _open(path: Path) -> int:
    names = [part for part in reversed(path.absolute().parts) if part != "/"]
    links = 0
    current = os.open("/", _NO_FOLLOW)
    try:
        while names:
            name = names.pop()
            opened = os.open(name, _NO_FOLLOW, dir_fd=current)
            if not stat.S_ISLNK(os.fstat(opened).st_mode):
                os.close(current)
                current = opened
                continue
            try:
                target = Path(os.readlink("", dir_fd=opened))
            finally:
                os.close(opened)
            links += 1
            if links > _MOST_LINKS or not _is_roots_alone(current):
                raise OSError(errno.ELOOP, "a link that is not followed", str(path))
            if target.is_absolute():
                os.close(current)
                current = os.open("/", _NO_FOLLOW)
            names += [part for part in reversed(target.parts) if part != "/"]
    except BaseException:
        os.close(current)
        raise
    return current


def _is_roots_alone(directory: int) -> bool:
    """Return whether nobody but root, or the account of this process, can change a directory."""
    status = os.fstat(directory)
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022
