"""Delete, flatten and fill directories of users, as root, however deep they are.

Nothing here follows a link, and nothing recurses as deep as a user can make directories: a
directory is moved up to the top before it is emptied.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

from tljh.host.trusted_path import open_directory, open_trusted_directory

# tar writes the whole path of each file, so very deep trees would make an archive of any size.
MOST_LEVELS = 100
MOST_BYTES = 1000
# Every round empties all directories that the round before has found.
_MOST_ROUNDS = 1_000_000
_SPARSE_CHUNK = 1 << 20


def remove_tree(path: Path) -> None:
    """Delete a directory and everything in it.

    Raises OSError (EBUSY) for a mount point in it, whose content stays.
    """
    with open_trusted_directory(path.parent) as parent:
        top = open_directory(path.name, parent)
        try:
            for _ in range(_MOST_ROUNDS):
                names = _list_names(top)
                if not names:
                    break
                for name in names:
                    if not _unlink_file(name, top):
                        _empty_one_level(name, top)
        finally:
            os.close(top)
        os.rmdir(path.name, dir_fd=parent)


def _list_names(directory: int) -> list[str]:
    # btrfs lists only what was there when a directory was opened.
    opened = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.listdir(opened)  # noqa: PTH208 - pathlib has no descriptors
    finally:
        os.close(opened)


def _unlink_file(name: str, directory: int) -> bool:
    """Delete what is no directory; return whether it is gone."""
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return True
    except IsADirectoryError:
        return False
    return True


def _empty_one_level(name: str, top: int) -> None:
    """Delete a directory's files, move its directories up into `top`, and delete it."""
    # The kernel refuses to rename a mount point, so another file system is never emptied.
    private = _move_up(name, top, top)
    try:
        directory = open_directory(private, top)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
            # Exchanged since it was listed; the next round sees what it is now.
            return
        raise
    try:
        for inner in _list_names(directory):
            if not _unlink_file(inner, directory):
                _move_up(inner, directory, top)
    finally:
        os.close(directory)
    try:
        os.rmdir(private, dir_fd=top)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.ENOTDIR, errno.ENOENT):
            raise


def _move_up(name: str, directory: int, top: int) -> str:
    private = f".tljh-{secrets.token_hex(8)}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(name, private, src_dir_fd=directory, dst_dir_fd=top)
    return private


def flatten(path: Path) -> int:
    """Move directories that are very deep up to the top, as `.deep-…`; return how many.

    Their content stays as it is.
    """
    moved = 0
    with open_trusted_directory(path) as top:
        pending = ["."]
        while pending:
            deep_names = _move_deep(top, open_directory(pending.pop(), top), 1, 0)
            moved += len(deep_names)
            pending += deep_names
    return moved


def _move_deep(top: int, directory: int, level: int, length: int) -> list[str]:
    """Move what is too deep below `directory`, which is closed; return the names in `top`."""
    moved: list[str] = []
    try:
        device = os.fstat(directory).st_dev
        for entry in _list_names(directory):
            try:
                child = open_directory(entry, directory)
            except OSError:
                continue
            if os.fstat(child).st_dev != device:
                os.close(child)
                continue
            size = length + len(os.fsencode(entry)) + 1
            if level < MOST_LEVELS and size < MOST_BYTES:
                moved += _move_deep(top, child, level + 1, size)
                continue
            os.close(child)
            name = f".deep-{secrets.token_hex(4)}"
            os.rename(entry, name, src_dir_fd=directory, dst_dir_fd=top)
            moved.append(name)
    finally:
        os.close(directory)
    return moved


def make_home(path: Path, uid: int, gid: int, skeleton: Path) -> None:
    """Make a home directory with a copy of `skeleton`; it appears complete, with mode 0700.

    Raises OSError where there is something else, or a link on the way that is not root's.
    """
    building = path.with_name(f".{path.name}.new")
    with open_trusted_directory(path.parent) as parent:
        with contextlib.suppress(FileNotFoundError):
            # Of a call that was killed.
            remove_tree(building)
        os.mkdir(building.name, 0o700, dir_fd=parent)
        home = open_directory(building.name, parent)
        try:
            with contextlib.suppress(FileNotFoundError), open_trusted_directory(skeleton) as source:
                _copy_entries(source, home, uid, gid, 1)
            os.fchown(home, uid, gid)
            os.fchmod(home, 0o700)
        finally:
            os.close(home)
        os.rename(building.name, path.name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)


def _copy_entries(source: int, target: int, uid: int, gid: int, level: int) -> None:
    """Copy files, directories and links of one directory; leave out everything else."""
    for name in _list_names(source):
        try:
            # O_NONBLOCK: a FIFO would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            opened = os.open(name, flags, dir_fd=source)
        except OSError as error:
            if error.errno == errno.ELOOP:
                os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
                os.chown(name, uid, gid, dir_fd=target, follow_symlinks=False)
            elif error.errno not in (errno.ENXIO, errno.ENOENT):
                raise
            continue
        try:
            _copy_opened(opened, name, target, uid, gid, level)
        finally:
            os.close(opened)


def _copy_opened(opened: int, name: str, target: int, uid: int, gid: int, level: int) -> None:
    status = os.fstat(opened)
    if stat.S_ISDIR(status.st_mode) and level < MOST_LEVELS:
        os.mkdir(name, 0o700, dir_fd=target)
        copy = open_directory(name, target)
    elif stat.S_ISREG(status.st_mode) and not _is_hidden_by_a_hard_link(status):
        copy = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=target)
    else:
        return
    try:
        if stat.S_ISDIR(status.st_mode):
            _copy_entries(opened, copy, uid, gid, level + 1)
        else:
            _copy_data(opened, copy, status.st_size)
        os.fchown(copy, uid, gid)
        # Without setuid and setgid: the owner changes.
        os.fchmod(copy, status.st_mode & 0o777)
    finally:
        os.close(copy)


def _is_hidden_by_a_hard_link(status: os.stat_result) -> bool:
    # Where the kernel allows it, a user can link a secret of root into a skeleton that users edit.
    return status.st_nlink > 1 and status.st_uid == 0 and not status.st_mode & stat.S_IROTH


def _copy_data(source: int, target: int, size: int) -> None:
    """Copy the content of a file, and leave its holes as holes."""
    os.ftruncate(target, size)
    start = 0
    while start < size:
        try:
            start = os.lseek(source, start, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(source, start, os.SEEK_HOLE)
        os.lseek(source, start, os.SEEK_SET)
        os.lseek(target, start, os.SEEK_SET)
        while start < end:
            data = os.read(source, min(_SPARSE_CHUNK, end - start))
            if not data:
                return
            start += len(data)
            remaining = memoryview(data)
            while remaining:
                remaining = remaining[os.write(target, remaining) :]
