"""Directory trees of environments: a cheap copy, an atomic exchange, and its rollback.

`prefix` is the environment's place. `other` (versions/.replaced-user-N) contains the new
environment while it is built, and after the exchange the previous one. A file next to it has the
inode of the new one, by which `revert` knows whether the exchange has happened.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Any

# conda and Jupyter edit these in place, so a hard link would change the snapshot too: they are
# copied. All else is replaced, never edited, and is linked. Found by comparing hashes after
# each of their commands.
COPIED = ("conda-meta", "etc", "share/jupyter/lab/settings", "share/jupyter/kernels")


# For renameat2(2), which Python has no function for.
AT_FDCWD = -100


RENAME_EXCHANGE = 2


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree, with hard links for the files that are never edited in place."""
    _copy_directory(source, target, "")


def _copy_directory(source: Path, target: Path, inside: str) -> None:
    info = source.stat()
    target.mkdir()
    for entry in os.scandir(source):
        path = f"{inside}/{entry.name}".lstrip("/")
        copy = target / entry.name
        if entry.is_symlink():
            copy.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            _copy_directory(Path(entry.path), copy, path)
        elif entry.is_file():
            is_edited = not inside or path.startswith(COPIED) or path.endswith(".pth")
            _copy_file(Path(entry.path), copy, link=not is_edited)
    _copy_owner(target, info)
    target.chmod(stat.S_IMODE(info.st_mode))


def _copy_file(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            # A mount point inside the tree, or the file system's limit of links for a file.
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
        else:
            return
    shutil.copy2(source, target)
    _copy_owner(target, source.stat())


def _copy_owner(path: Path, info: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, info.st_uid, info.st_gid, follow_symlinks=False)


def publish_modes(prefix: Path, previous: Path | None = None) -> None:
    """Make what a build wrote owned by root, readable by all users and writable by root alone.

    rattler writes some files 0600, and a directory that a user could write to would let that
    user change what the others run. setuid and setgid bits go too.

    What was the same in the `previous` environment stays as it is: a licence that only a group
    may read, or a folder of a group, is the admin's. Many of its files are hard links: a change
    of their mode would change the environment in use, and the snapshots, too.
    """
    is_root = os.geteuid() == 0
    for folder, _, files in os.walk(prefix):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            info = path.lstat()
            if previous is not None and _is_same(info, previous / path.relative_to(prefix)):
                continue
            if is_root and (info.st_uid or info.st_gid):
                os.chown(path, 0, 0, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                continue
            mode = stat.S_IMODE(info.st_mode)
            least = 0o755 if stat.S_ISDIR(info.st_mode) or mode & 0o100 else 0o644
            if mode != (mode | least) & ~0o6022:
                path.chmod((mode | least) & ~0o6022)


def _is_same(info: os.stat_result, previous: Path) -> bool:
    """Return whether a file or directory is unchanged from the previous environment."""
    try:
        old = previous.lstat()
    except OSError:
        return False
    if (info.st_dev, info.st_ino) == (old.st_dev, old.st_ino):
        return True
    if (info.st_mode, info.st_uid, info.st_gid) != (old.st_mode, old.st_uid, old.st_gid):
        return False
    is_directory = stat.S_ISDIR(info.st_mode)
    return is_directory or (info.st_mtime_ns, info.st_size) == (old.st_mtime_ns, old.st_size)


def flush(path: Path) -> None:
    """Write everything on the file system of `path` to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def commit(prefix: Path, other: Path) -> None:
    """Exchange the new environment at `other` with the one at `prefix`, durably."""
    if prefix.exists():
        _get_inode_file(other).write_text(str(other.stat().st_ino))
    # Before the rename: after a power cut a complete environment must be there, whichever it is.
    flush(other)
    _put_in_place(prefix, other)


def _put_in_place(prefix: Path, other: Path) -> None:
    if not prefix.exists():
        other.rename(prefix)
    else:
        try:
            _exchange(prefix, other)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS):
                raise
            _replace_by_steps(prefix, other)
    for directory in (prefix.parent, other.parent):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _exchange(prefix: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (AT_FDCWD, os.fsencode(prefix), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if libc.renameat2(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(prefix))


def _replace_by_steps(prefix: Path, other: Path) -> None:
    """Exchange where directories cannot be renamed: on overlayfs, those of a container's image.

    The copy is valid from the moment it has its final name; `revert` handles a kill at every
    point in between.
    """
    saved, unfinished = _get_saved_path(other), other.with_name(f"{other.name}.copying")
    shutil.rmtree(unfinished, ignore_errors=True)
    copy_tree(prefix, unfinished)
    flush(unfinished)
    unfinished.rename(saved)
    shutil.rmtree(prefix)
    other.rename(prefix)
    saved.rename(other)


def _get_saved_path(other: Path) -> Path:
    return other.with_name(f"{other.name}.saved")


def _get_inode_file(other: Path) -> Path:
    return other.with_name(f"{other.name}.inode")


def _is_exchanged(prefix: Path, other: Path, *, existed: bool) -> bool:
    if not existed:
        # The first environment was only renamed.
        return prefix.exists() and not other.exists()
    try:
        return _get_inode_file(other).read_text() == str(prefix.stat().st_ino)
    except FileNotFoundError:
        return False


def revert(request: dict[str, Any]) -> dict[str, Any]:
    """Restore the environment before an exchange with `other`; a second call changes nothing.

    The disk shows how far a killed run had come. If the saved copy of `_replace_by_steps`
    exists, it is the old environment. Otherwise the inode of `prefix` shows whether the exchange
    has happened.
    """
    prefix, other = Path(request["prefix"]), Path(request["other"])
    saved = _get_saved_path(other)
    if saved.exists():
        shutil.rmtree(prefix, ignore_errors=True)
        saved.rename(prefix)
    elif _is_exchanged(prefix, other, existed=request["existed"]):
        if request["existed"]:
            # Not by `commit`: the inode of the new environment has to stay on record until it is
            # out of use, for a kill in between.
            _put_in_place(prefix, other)
        else:
            prefix.rename(other)
    remove_tree(other)
    return {}


def remove_tree(other: Path) -> None:
    """Remove a tree that was exchanged or never used, and what was noted about it."""
    for leftover in (other.with_name(f"{other.name}.copying"), other):
        shutil.rmtree(leftover, ignore_errors=True)
    _get_inode_file(other).unlink(missing_ok=True)


def remove_replaced(versions: Path, stem: str) -> None:
    """Remove the trees named `stem` and a number: environments before earlier exchanges."""
    for path in versions.glob(f"{stem}*"):
        if path.name.removeprefix(stem).isdigit():
            remove_tree(path)
