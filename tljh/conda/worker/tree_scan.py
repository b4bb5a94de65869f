"""What an environment contains, file by file: kind, mode, owner, time and hash of each.

Hashing all files takes seconds, so an index of inodes keeps the hashes of unchanged ones.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

BLOCK_BYTES = 1 << 20

# For fewer files, processes are not worth their start.
MANY_FILES = 2000

# conda's default place of downloaded packages, as in an environment that was taken over from
# The Littlest JupyterHub. It may be deleted at any time, so it belongs to no snapshot.
PACKAGE_CACHE = "pkgs"


class TreeEntry(NamedTuple):
    """A file, directory or symbolic link of an environment.

    `content` is the sha256 of a file or the target of a link; `attributes` are the extended ones,
    such as ACLs, as hexadecimal text.
    """

    kind: str
    mode: int
    uid: int
    gid: int
    mtime_ns: int = 0
    size: int = 0
    content: str = ""
    attributes: Mapping[str, str] = {}


TreeEntries = dict[str, TreeEntry]


class Seen(NamedTuple):
    """A file's hash and attributes, and the state of its inode when they were read."""

    size: int
    mtime_ns: int
    ctime_ns: int
    links: int
    content: str
    attributes: Mapping[str, str]


Index = dict[int, Seen]


@dataclass
class Scan:
    """The entries by path below the environment, and the index for the next scan.

    `skipped` are sockets and the like, which no snapshot can have.
    """

    entries: TreeEntries = field(default_factory=dict)
    index: Index = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def compute_sha256(path: str | Path) -> str:
    """Return the hash of a file as hexadecimal text."""
    digest = hashlib.sha256()
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while block := os.read(file, BLOCK_BYTES):
            digest.update(block)
    finally:
        os.close(file)
    return digest.hexdigest()


def scan(
    prefix: Path, index: Mapping[int, Seen], hash_file: Callable[[str], str] = compute_sha256
) -> Scan:
    """Read all entries below `prefix`, and its own as `.`; hash the files that changed."""
    result = Scan()
    changed: list[tuple[str, os.stat_result]] = []
    info = prefix.lstat()
    result.entries["."] = _entry("d", info, _attributes(str(prefix)))
    for path, info in walk(str(prefix)):
        if stat.S_ISREG(info.st_mode):
            seen = index.get(info.st_ino)
            if seen is None or not _is_unchanged(info, seen):
                changed.append((path, info))
                continue
            result.index[info.st_ino] = _seen(info, seen.content, seen.attributes)
            result.entries[path] = _file_entry(info, seen.content, seen.attributes)
        elif stat.S_ISDIR(info.st_mode):
            result.entries[path] = _entry("d", info, _attributes(f"{prefix}/{path}"))
        elif stat.S_ISLNK(info.st_mode):
            target = os.readlink(f"{prefix}/{path}")  # noqa: PTH115 - 20 times as fast
            result.entries[path] = _entry("l", info, {})._replace(content=target)
        else:
            result.skipped.append(path)
    for path, info, content in _hashed(prefix, changed, hash_file):
        if content is None:
            continue
        attributes = _attributes(f"{prefix}/{path}")
        result.index[info.st_ino] = _seen(info, content, attributes)
        result.entries[path] = _file_entry(info, content, attributes)
    return result


def walk(prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield everything below `prefix` by its path there, a directory before what is in it."""
    directories = [""]
    while directories:
        inside = directories.pop()
        with os.scandir(f"{prefix}/{inside}") as listing:
            for entry in listing:
                path = inside + entry.name
                if path == PACKAGE_CACHE:
                    continue
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield path, info
                if stat.S_ISDIR(info.st_mode):
                    directories.append(f"{path}/")


def _is_unchanged(info: os.stat_result, seen: Seen) -> bool:
    if (info.st_size, info.st_mtime_ns) != (seen.size, seen.mtime_ns):
        return False
    # Adding or removing a hard link changes the time of the inode too, and nothing in the file.
    return info.st_ctime_ns == seen.ctime_ns or info.st_nlink != seen.links


def _seen(info: os.stat_result, content: str, attributes: Mapping[str, str]) -> Seen:
    return Seen(
        info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_nlink, content, attributes
    )


def _entry(kind: str, info: os.stat_result, attributes: Mapping[str, str]) -> TreeEntry:
    mode = stat.S_IMODE(info.st_mode)
    return TreeEntry(kind, mode, info.st_uid, info.st_gid, info.st_mtime_ns, attributes=attributes)


def _file_entry(info: os.stat_result, content: str, attributes: Mapping[str, str]) -> TreeEntry:
    return _entry("f", info, attributes)._replace(size=info.st_size, content=content)


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {name: os.getxattr(path, name, follow_symlinks=False).hex() for name in names}
    except OSError:
        return {}


def _hashed(
    prefix: Path,
    files: Sequence[tuple[str, os.stat_result]],
    hash_file: Callable[[str], str],
) -> Iterator[tuple[str, os.stat_result, str | None]]:
    """Yield each file with its hash; None for one that was removed meanwhile."""
    contents = hash_files([f"{prefix}/{path}" for path, _ in files], hash_file)
    for (path, info), content in zip(files, contents, strict=True):
        yield path, info, content


def hash_files(
    names: Sequence[str], hash_file: Callable[[str], str] = compute_sha256
) -> list[str | None]:
    """Return the hash of each file; None for one that is missing.

    Many are hashed in a process for each processor. Threads take twice the time: most files are
    small, so the interpreter's lock is the limit.
    """
    count = os.cpu_count() or 1
    if len(names) < MANY_FILES or count == 1:
        return [_hash_if_present(name, hash_file) for name in names]
    return _hash_in_processes(names, hash_file, count)


def _hash_if_present(name: str, hash_file: Callable[[str], str]) -> str | None:
    try:
        return hash_file(name)
    except FileNotFoundError:
        return None


def _hash_in_processes(
    names: Sequence[str], hash_file: Callable[[str], str], count: int
) -> list[str | None]:
    """Hash each `count`th file in a child, so that all have files of all directories."""
    with ProcessPoolExecutor(
        count, get_context("fork"), initializer=_keep_hash_function, initargs=(hash_file,)
    ) as pool:
        shares = list(pool.map(_hash_share, [names[number::count] for number in range(count)]))
    contents: list[str | None] = [None] * len(names)
    for number, share in enumerate(shares):
        contents[number::count] = share
    return contents


# In a child of `_hash_in_processes`. A closure cannot be sent to a process, but is inherited.
_hash_functions: list[Callable[[str], str]] = []


def _keep_hash_function(hash_file: Callable[[str], str]) -> None:
    _hash_functions[:] = [hash_file]


def _hash_share(names: Sequence[str]) -> list[str | None]:
    return [_hash_if_present(name, _hash_functions[0]) for name in names]
