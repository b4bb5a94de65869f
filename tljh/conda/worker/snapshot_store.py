"""Where snapshots are kept: each file's content once, and a list of files for each snapshot.

Content is a compressed copy (with shared blocks instead, where the file system can), or a hard link
into the environment. A link takes no time and no space, but is changed by what writes into the file
in place. So only files are linked that a package can bring again, and that are not edited by hand;
whatever is read from the store is compared with its hash.

    versions/.snapshots/objects/ab/cdef…   content, named by its sha256; `.z` is compressed
    versions/.snapshots/index              hashes of the files in the environment, by inode
    versions/.snapshots/writing            exists while content is written
    versions/user-N/snapshot.json          number, time, user, command, packages, names
    versions/user-N/files                  the entries, compressed
    versions/user-N/objects                the hashes of the content, for pruning
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from tljh.conda.snapshots import DESCRIPTION, parse_number
from tljh.conda.worker import trees
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.tree_scan import (
    BLOCK_BYTES,
    Index,
    Seen,
    TreeEntries,
    TreeEntry,
    compute_sha256,
)

# ioctl: share the blocks of another file, copied when either is written (btrfs, XFS).
FICLONE = 0x40049409

DIGEST_BYTES = 32

FILES = "files"

OBJECTS = "objects"

COMPRESSED = ".z"

_counter = itertools.count()


class SnapshotStore:
    """The snapshots below `versions`. The caller holds the lock of an apply where it writes."""

    def __init__(self, versions: Path) -> None:
        self.versions = versions
        self.directory = versions / ".snapshots"
        self._objects = str(self.directory / OBJECTS)
        self._index = self.directory / "index"
        self._writing = self.directory / "writing"

    def numbers(self) -> list[int]:
        """Return the numbers of all complete snapshots, oldest first."""
        return [number for number in self._all_numbers() if self._description(number).exists()]

    def _all_numbers(self) -> list[int]:
        numbers = (parse_number(path.name) for path in self.versions.iterdir())
        return sorted(number for number in numbers if number is not None)

    def next_number(self) -> int:
        return 1 + max(self._all_numbers(), default=0)

    def description(self, number: int) -> dict[str, Any]:
        return dict(json.loads(self._description(number).read_bytes()))

    def entries(self, number: int) -> TreeEntries:
        data = (self._place(number) / FILES).read_bytes()
        return {path: TreeEntry(*fields) for path, *fields in json.loads(zlib.decompress(data))}

    def _place(self, number: int) -> Path:
        return self.versions / f"user-{number}"

    def _description(self, number: int) -> Path:
        return self._place(number) / DESCRIPTION

    # Content

    def object_path(self, content: str) -> Path:
        return self.directory / OBJECTS / content[:2] / content[2:]

    def _compressed_path(self, content: str) -> Path:
        path = self.object_path(content)
        return path.with_name(f"{path.name}{COMPRESSED}")

    def has_object(self, content: str) -> bool:
        return self.object_path(content).exists() or self._compressed_path(content).exists()

    def has_copy(self, content: str) -> bool:
        """Return whether the store has content that nothing outside of it can change."""
        try:
            return self.object_path(content).lstat().st_nlink == 1
        except FileNotFoundError:
            return self._compressed_path(content).exists()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Protect writes of content against a kill or a power cut, after which some may be cut off.

        Content that no snapshot refers to is then removed, so nothing relies on it.
        """
        self.directory.mkdir(mode=0o700, exist_ok=True)
        if self._writing.exists():
            self.sweep()
        self._writing.touch(mode=0o600)
        yield
        trees.flush(self.directory)
        self._writing.unlink()

    def add_object(self, source: Path) -> str:
        """Copy a file's content into the store; return its hash."""
        temporary = self.directory / f"new-{os.getpid()}-{next(_counter)}"
        with (
            source.open("rb", buffering=0) as stream,
            temporary.open("w+b", buffering=0) as copy,
        ):
            is_cloned = _clone(stream.fileno(), copy.fileno())
            content = _hash(copy.fileno()) if is_cloned else _compress(stream, copy)
        if self.has_copy(content):
            temporary.unlink()
            return content
        path = self.object_path(content)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.rename(path if is_cloned else self._compressed_path(content))
        if not is_cloned:
            # A link, which may have been changed in the meantime.
            path.unlink(missing_ok=True)
        return content

    def link_object(self, source: str, content: str) -> None:
        """Add a file with this hash by a hard link, or by a copy where no link is possible."""
        # Text instead of Path objects: this is called for each of 20,000 files.
        directory = f"{self._objects}/{content[:2]}"
        path = f"{directory}/{content[2:]}"
        try:
            os.link(source, path, follow_symlinks=False)
        except FileNotFoundError:
            os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103
            os.link(source, path, follow_symlinks=False)
        except FileExistsError:
            # Another link, whose file may have been changed in place.
            if not os.path.samefile(source, path) and compute_sha256(path) != content:  # noqa: PTH121
                self.add_object(Path(source))
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EMLINK, errno.EPERM):
                raise
            self.add_object(Path(source))

    def copy_object(self, content: str, target: Path) -> None:
        """Write the content with this hash to a new file. Raises CondaProblem for a damaged one."""
        compressed = self._compressed_path(content)
        try:
            with target.open("x+b", buffering=0) as copy:
                if compressed.exists():
                    digest = _decompress(compressed, copy)
                else:
                    with self.object_path(content).open("rb", buffering=0) as stream:
                        digest = _copy(stream.fileno(), copy.fileno())
            is_whole = digest == content
        except (FileNotFoundError, zlib.error):
            is_whole = False
        if not is_whole:
            target.unlink(missing_ok=True)
            raise CondaProblem("snapshot", "the snapshot is damaged", f"content {content}")

    def sweep(self, candidates: Iterable[bytes] | None = None) -> None:
        """Remove content that no snapshot refers to: all of it, or only of the `candidates`."""
        used: set[bytes] = set()
        for number in self.numbers():
            used |= self._digests(number)
        if candidates is None:
            candidates = self._all_digests()
            for leftover in self.directory.glob("new-*"):
                leftover.unlink()
            for number in set(self._all_numbers()) - set(self.numbers()):
                if (self._place(number) / OBJECTS).exists():
                    shutil.rmtree(self._place(number))
        for digest in set(candidates) - used:
            self.object_path(digest.hex()).unlink(missing_ok=True)
            self._compressed_path(digest.hex()).unlink(missing_ok=True)

    def _all_digests(self) -> Iterator[bytes]:
        root = self.directory / OBJECTS
        for directory in root.iterdir() if root.exists() else ():
            for name in os.listdir(directory):  # noqa: PTH208 - twice as fast
                yield bytes.fromhex(directory.name + name.removesuffix(COMPRESSED))

    def _digests(self, number: int) -> set[bytes]:
        data = (self._place(number) / OBJECTS).read_bytes()
        return {data[start : start + DIGEST_BYTES] for start in range(0, len(data), DIGEST_BYTES)}

    # Snapshots

    def write(self, number: int, description: Mapping[str, Any], entries: TreeEntries) -> None:
        """Write a snapshot, or replace its entries; its content is in the store already.

        Each file is replaced atomically and the description comes last, so a kill leaves the
        snapshot as it was or as it is to be. No directory is renamed: overlayfs refuses that.
        """
        place = self._place(number)
        place.mkdir(mode=0o700, exist_ok=True)
        digests = {bytes.fromhex(e.content) for e in entries.values() if e.kind == "f"}
        if self._description(number).exists():
            digests |= self._digests(number)
        _replace(place / OBJECTS, b"".join(digests))
        rows = [[path, *entry] for path, entry in entries.items()]
        _replace(place / FILES, zlib.compress(json.dumps(rows).encode(), level=1))
        trees.flush(place)
        _replace(self._description(number), json.dumps(description).encode())
        trees.flush(place)

    def describe(self, number: int, **changes: Any) -> None:
        """Replace fields of a snapshot's description."""
        description = {**self.description(number), **changes}
        _replace(self._description(number), json.dumps(description).encode())
        trees.flush(self._place(number))

    def remove(self, number: int) -> None:
        """Remove a snapshot, and the content that only it has. May be repeated."""
        if not self._place(number).exists():
            return
        self._writing.touch(mode=0o600)
        if not self._description(number).exists():
            self.sweep()
        else:
            digests = self._digests(number)
            # Without the description it is no snapshot any more, whatever else is left of it.
            self._description(number).unlink()
            shutil.rmtree(self._place(number))
            self.sweep(digests)
        self._writing.unlink()

    def size_bytes(self) -> int:
        """Return the disk space of all content; that of links belongs to the environment."""
        total = 0
        for directory in os.scandir(self.directory / OBJECTS):
            with os.scandir(directory) as listing:
                infos = (entry.stat(follow_symlinks=False) for entry in listing)
                total += sum(info.st_blocks * 512 for info in infos if info.st_nlink == 1)
        return total

    # The index of the environment's files

    def index(self) -> Index:
        """Return what the last scan saw; empty where the file is missing or damaged."""
        try:
            rows = json.loads(self._index.read_bytes())
            return {inode: Seen(*fields) for inode, *fields in rows}
        except (OSError, ValueError, TypeError):
            return {}

    def keep_index(self, index: Index) -> None:
        self.directory.mkdir(mode=0o700, exist_ok=True)
        rows = [[inode, *seen] for inode, seen in index.items()]
        _replace(self._index, json.dumps(rows).encode())


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.touch(mode=0o600)
    temporary.write_bytes(data)
    temporary.replace(path)


def _clone(source: int, target: int) -> bool:
    """Share the blocks of an open file, where the file system can."""
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL):
            raise
        return False
    return True


def _hash(file: int) -> str:
    digest = hashlib.sha256()
    os.lseek(file, 0, os.SEEK_SET)
    while block := os.read(file, BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _copy(source: int, target: int) -> str:
    """Copy an open file, with shared blocks where the file system can; return the hash."""
    if _clone(source, target):
        return _hash(target)
    digest = hashlib.sha256()
    while block := os.read(source, BLOCK_BYTES):
        digest.update(block)
        _write(target, block)
    return digest.hexdigest()


def _compress(source: BinaryIO, target: BinaryIO) -> str:
    """Write a file compressed; return the hash of its content."""
    digest, compressor = hashlib.sha256(), zlib.compressobj(level=1)
    while block := source.read(BLOCK_BYTES):
        digest.update(block)
        _write(target.fileno(), compressor.compress(block))
    _write(target.fileno(), compressor.flush())
    return digest.hexdigest()


def _decompress(source: Path, target: BinaryIO) -> str:
    """Write the content of a compressed file; return its hash."""
    digest, decompressor = hashlib.sha256(), zlib.decompressobj()
    with source.open("rb", buffering=0) as stream:
        while block := stream.read(BLOCK_BYTES):
            # One block may become a gigabyte.
            while block:
                content = decompressor.decompress(block, BLOCK_BYTES)
                block = decompressor.unconsumed_tail
                digest.update(content)
                _write(target.fileno(), content)
    content = decompressor.flush()
    digest.update(content)
    _write(target.fileno(), content)
    return digest.hexdigest()


def _write(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]
