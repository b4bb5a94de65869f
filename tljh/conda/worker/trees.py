"""Whole environments: a cheap copy, an atomic exchange, and the way back.

Next to the environment stands `other` (versions/user-N): first what is being built, after
the exchange the environment as it was, which is the snapshot that an undo brings back.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

from tljh.conda.environment import MARKER

# Edited in place by conda, pip and Jupyter, so that a hard link would change the snapshot too
# (found by comparing hashes after each of their commands). All else is replaced, not edited.
COPIED = ("conda-meta", "etc", "share/jupyter/lab/settings", "share/jupyter/kernels")


AT_FDCWD = -100


RENAME_EXCHANGE = 2


def generation(prefix: Path) -> int:
    """Which build of ours stands here; 0 for none, and for an environment that others made."""
    try:
        found = json.loads((prefix / MARKER).read_text())
        return int(found["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def copy_tree(source: Path, target: Path) -> None:
    """Make `target` an independent copy that shares the content of files nobody edits."""
    _copy_directory(source, target, "")


def _copy_directory(source: Path, target: Path, inside: str) -> None:
    info = source.stat()
    target.mkdir()
    for entry in os.scandir(source):
        path = f"{inside}/{entry.name}".lstrip("/")
        to = target / entry.name
        if entry.is_symlink():
            to.symlink_to(Path(entry.path).readlink())
        elif entry.is_dir():
            _copy_directory(Path(entry.path), to, path)
        elif entry.is_file():
            is_edited = not inside or path.startswith(COPIED) or path.endswith(".pth")
            _copy_file(Path(entry.path), to, link=not is_edited)
    _own(target, info)
    target.chmod(stat.S_IMODE(info.st_mode))


def _copy_file(source: Path, target: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(source, target, follow_symlinks=False)
        except OSError as error:
            # Another file system below a mount point, or a file system's limit of links.
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
        else:
            return
    shutil.copy2(source, target)
    _own(target, source.stat())


def _own(path: Path, info: os.stat_result) -> None:
    if os.geteuid() == 0:
        os.chown(path, info.st_uid, info.st_gid, follow_symlinks=False)


def publish_modes(prefix: Path) -> None:
    """Owned by root, readable by all, writable by none but root."""
    is_root = os.geteuid() == 0
    for folder, _, files in os.walk(prefix):
        for path in (Path(folder), *(Path(folder, name) for name in files)):
            info = path.lstat()
            if is_root and (info.st_uid or info.st_gid):
                os.chown(path, 0, 0, follow_symlinks=False)
            if stat.S_ISLNK(info.st_mode):
                continue
            mode = stat.S_IMODE(info.st_mode)
            everyone = 0o755 if stat.S_ISDIR(info.st_mode) or mode & 0o100 else 0o644
            if mode != (mode | everyone) & ~0o6022:
                path.chmod((mode | everyone) & ~0o6022)


def flush(path: Path) -> None:
    """Have everything on the file system of `path` on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def commit(prefix: Path, other: Path) -> None:
    """Put what was built at `other` in place; the environment as it was is at `other` then."""
    flush(other)
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


def _exchange(one: Path, two: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(two), RENAME_EXCHANGE)
    if libc.renameat2(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(one))


def _replace_by_steps(prefix: Path, other: Path) -> None:
    """Where directories can't be renamed: overlayfs, for what came with a container's image.

    The copy counts from the moment it bears its name; `revert` knows each point in between.
    """
    saved, unfinished = _saved(other), other.with_name(f"{other.name}.copying")
    shutil.rmtree(unfinished, ignore_errors=True)
    copy_tree(prefix, unfinished)
    flush(unfinished)
    unfinished.rename(saved)
    shutil.rmtree(prefix)
    other.rename(prefix)
    saved.rename(other)


def _saved(other: Path) -> Path:
    return other.with_name(f"{other.name}.saved")


def revert(request: dict[str, Any]) -> dict[str, Any]:
    """Bring back the environment that stood before generation `number`; twice is once.

    Whatever point a killed run had reached, the disk tells: the saved copy of the steps above
    is the truth where it exists; else the environment bears the number if it was exchanged.
    """
    prefix, other = Path(request["prefix"]), Path(request["other"])
    saved = _saved(other)
    if saved.exists():
        shutil.rmtree(prefix, ignore_errors=True)
        saved.rename(prefix)
    elif generation(prefix) == request["number"]:
        if request["existed"] and other.exists():
            commit(prefix, other)
        elif not request["existed"]:
            shutil.rmtree(other, ignore_errors=True)
            prefix.rename(other)
    for leftover in (other, other.with_name(f"{other.name}.copying")):
        shutil.rmtree(leftover, ignore_errors=True)
    return {}


def prune(versions: Path, stem: str, keep: int) -> None:
    """Remove the oldest snapshots that are called `stem` and a number."""
    numbered = {}
    for path in versions.glob(f"{stem}*"):
        number = path.name.removeprefix(stem)
        if number.isdigit():
            numbered[int(number)] = path
    for oldest in sorted(numbered)[: max(0, len(numbered) - keep)]:
        shutil.rmtree(numbered[oldest])
