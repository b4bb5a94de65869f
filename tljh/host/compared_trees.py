"""Comparison of two directory trees, as a program of the standard library only.

`python3 -I compared_trees.py ORIGINAL COPY` prints the first differences and exits with 1, or
prints nothing. Compared are names, types, owners, modes, times, links, extended attributes (ACLs
included) and content; of a sparse file only what is not a hole. Sockets are left out.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

MOST_DIFFERENCES = 20
BLOCK_BYTES = 1 << 20


class Tree:
    """One of the trees; paths are relative to `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        # By device and inode, the first path of a file with several names.
        self.first_names: dict[tuple[int, int], Path] = {}

    def list_names(self, path: Path) -> set[str]:
        paths = (self.root / path).iterdir()
        return {each.name for each in paths if not stat.S_ISSOCK(each.lstat().st_mode)}

    def describe(self, path: Path) -> dict[str, object]:
        """Return everything about a path but its content."""
        full = self.root / path
        status = full.lstat()
        described: dict[str, object] = {
            "type": stat.S_IFMT(status.st_mode),
            "mode": stat.S_IMODE(status.st_mode),
            "owner": (status.st_uid, status.st_gid),
        }
        if stat.S_ISLNK(status.st_mode):
            described["target"] = str(full.readlink())
            return described
        names = os.listxattr(full, follow_symlinks=False)
        described["attributes"] = {
            name: os.getxattr(full, name, follow_symlinks=False)
            for name in names
            if name != "security.selinux"
        }
        described["time"] = status.st_mtime_ns
        if stat.S_ISREG(status.st_mode):
            described["size"] = status.st_size
            if status.st_nlink > 1:
                key = (status.st_dev, status.st_ino)
                described["first name"] = self.first_names.setdefault(key, path)
        elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            described["device"] = status.st_rdev
        return described


def find_differences(original: Tree, copy: Tree) -> Iterator[str]:
    """Yield each difference as a line with the path."""
    pending = [Path()]
    while pending:
        path = pending.pop()
        first, second = original.describe(path), copy.describe(path)
        for key in sorted({*first, *second}):
            # A name that is linked outside of the tree has no other name in the copy.
            if key != "first name" and first.get(key) != second.get(key):
                yield f"{str(path)!r}: {key}"
        if "first name" in second and first.get("first name") != second["first name"]:
            yield f"{str(path)!r}: first name"
        if first["type"] != second["type"]:
            continue
        if first["type"] == stat.S_IFREG and first["size"] == second["size"]:
            if not has_equal_content(original.root / path, copy.root / path):
                yield f"{str(path)!r}: content"
        elif first["type"] == stat.S_IFDIR:
            names, others = original.list_names(path), copy.list_names(path)
            for name in sorted(names ^ others):
                yield f"{str(path / name)!r}: is in one only"
            pending += [path / name for name in sorted(names & others)]


def has_equal_content(path: Path, other: Path) -> bool:
    """Compare two files of one size; a hole is equal to zeros."""
    with path.open("rb") as first, other.open("rb") as second:
        for file in (first, second):
            for start, end in list_data(file.fileno()):
                offset = start
                while offset < end:
                    size = min(BLOCK_BYTES, end - offset)
                    block = os.pread(first.fileno(), size, offset)
                    if not block or block != os.pread(second.fileno(), size, offset):
                        return False
                    offset += len(block)
    return True


def list_data(descriptor: int) -> Iterator[tuple[int, int]]:
    """Yield where a file has data: start and end of each range that is not a hole."""
    size, end = os.fstat(descriptor).st_size, 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError:
            # Nothing but a hole up to the end.
            return
        end = os.lseek(descriptor, start, os.SEEK_HOLE)
        yield start, end


def main() -> int:
    count = 0
    for difference in find_differences(Tree(Path(sys.argv[1])), Tree(Path(sys.argv[2]))):
        print(difference)
        count += 1
        if count == MOST_DIFFERENCES:
            break
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
