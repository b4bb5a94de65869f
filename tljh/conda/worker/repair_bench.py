"""The copy of an environment that is repaired, and the snapshots that it is repaired from."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.examination import examine, is_program
from tljh.conda.worker.snapshot_store import SnapshotStore
from tljh.conda.worker.tree_scan import TreeEntry


class Snapshots:
    """What the snapshots have at a path, the newest first; each is read once."""

    def __init__(self, store: SnapshotStore) -> None:
        self.store = store
        self._numbers = [
            number
            for number in (reversed(store.numbers()) if store.versions.exists() else ())
            if store.description(number)["is_good"] is not False
        ]
        self._entries: dict[int, Mapping[str, TreeEntry]] = {}

    def find(self, path: str) -> Iterator[TreeEntry]:
        """Yield the entries of a path."""
        for number in self._numbers:
            entries = self._entries.setdefault(number, self.store.entries(number))
            if path in entries:
                yield entries[path]

    def list_names(self, directory: str) -> set[str]:
        """Return the paths in a directory that any of the snapshots has."""
        for number in self._numbers:
            self._entries.setdefault(number, self.store.entries(number))
        return {
            path
            for entries in self._entries.values()
            for path in entries
            if path.startswith(f"{directory}/")
        }


class Workbench:
    """The copy that is repaired, what it is repaired with, and what has been done."""

    def __init__(
        self, tree: Path, prefix: Path, snapshots: Snapshots, request: Mapping[str, Any]
    ) -> None:
        self.tree = tree
        self.prefix = prefix
        self.snapshots = snapshots
        self.request = request
        self.repaired: list[str] = []

    def find_problems(self, kinds: Sequence[str]) -> list[dict[str, Any]]:
        """Return the problems of the copy as it is."""
        fields = {"prefix": self.tree, "is_quick": False, "owner": self.request["owner"]}
        return [item for item in examine(fields)["problems"] if item["kind"] in kinds]

    def restore_content(self, path: str, content: str) -> bool:
        """Put the content with a hash at a path, if the snapshots have it."""
        new = self._make_room(path)
        try:
            self.snapshots.store.copy_object(content, new)
        except CondaProblem:
            return False
        self._put(new, path)
        return True

    def restore_entry(self, path: str) -> bool:
        """Put what the newest snapshot has at a path there; links, too."""
        for entry in self.snapshots.find(path):
            if entry.kind == "f" and self.restore_content(path, entry.content):
                return True
            if entry.kind == "l":
                new = self._make_room(path)
                new.symlink_to(entry.content)
                self._put(new, path)
                return True
        return False

    def put_file(self, source: Path, path: str) -> None:
        """Copy a file or link to a path."""
        new = self._make_room(path)
        shutil.copy2(source, new, follow_symlinks=False)
        self._put(new, path, keep_mode=True)

    def _make_room(self, path: str) -> Path:
        target = self.tree / path
        for parent in reversed(target.relative_to(self.tree).parents[:-1]):
            directory = self.tree / parent
            if not directory.is_dir():
                directory.unlink(missing_ok=True)
                directory.mkdir()
                directory.chmod(0o755)
        return target.with_name(f".{target.name}.repaired")

    def _put(self, new: Path, path: str, *, keep_mode: bool = False) -> None:
        """Replace what is at a path; the old file may be a hard link into a snapshot."""
        target = self.tree / path
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        self.own(new)
        if not new.is_symlink():
            new.chmod(
                new.stat().st_mode & 0o755 | 0o644 if keep_mode else self.find_mode(path, new)
            )
        new.replace(target)
        if path.endswith(".py"):
            for compiled in (target.parent / "__pycache__").glob(f"{target.stem}.*.pyc"):
                compiled.unlink()

    def own(self, path: Path) -> None:
        """Give a file or link to the owner of the environment."""
        if os.geteuid() == 0:
            os.chown(path, self.request["owner"], 0, follow_symlinks=False)

    def find_mode(self, path: str, file: Path) -> int:
        """Return the mode that a file had in a snapshot, or one by its content."""
        must_run = path.startswith("bin/") and is_program(file)
        least = 0o755 if must_run or file.is_dir() else 0o644
        for entry in self.snapshots.find(path):
            is_safe = not entry.mode & 0o6022 and entry.mode & least == least
            if entry.kind in "fd" and is_safe:
                return entry.mode
        return least
