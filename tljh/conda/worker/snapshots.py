"""Snapshots of the user environment: made, compared, gone back to. Only a restore uses rattler."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tljh.conda.environment import normalize_name, parse_conda_packages, parse_distributions
from tljh.conda.worker import events, trees
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.recorded_files import read_package_hashes
from tljh.conda.worker.snapshot_store import SnapshotStore
from tljh.conda.worker.tree_scan import (
    PACKAGE_CACHE,
    Scan,
    TreeEntries,
    TreeEntry,
    compute_sha256,
    scan,
)

# Of a snapshot that changed files and no package, so many are named.
NAMED_FILES = 3

# Modules, scripts and settings that admins edit. They are 4 % of an environment, compressed.
EDITED_SUFFIXES = (".py", ".pth", ".sh", ".json", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".css")

# A larger file in bin is a program.
MAX_SCRIPT_BYTES = 1 << 16

_DAMAGED = "the snapshot is damaged"

_SITE_PACKAGES = re.compile(r"lib/python3\.\d+/site-packages/[^/]+\.dist-info")


def record(request: Mapping[str, Any]) -> dict[str, Any]:
    """Make a snapshot of the environment if it differs from the last one; return its number.

    Where only byte code or times differ, the last snapshot is replaced.
    """
    store, prefix = SnapshotStore(Path(request["versions"])), Path(request["prefix"])
    numbers = store.numbers()
    last = store.entries(numbers[-1]) if numbers else {}
    with store.writing():
        entries = _scan_into(store, prefix, last).entries
        number, is_new = numbers[-1] if numbers else 0, False
        if not numbers or any(is_significant(*change) for change in _different(last, entries)):
            number, is_new = store.next_number(), True
            store.write(number, _description(number, request, last, entries), entries)
        elif entries != last:
            store.write(number, store.description(number), entries)
    _prune(store, request, is_new=is_new)
    return {"number": number, "is_new": is_new}


def _scan_into(store: SnapshotStore, tree: Path, last: TreeEntries) -> Scan:
    """Scan a tree and have its content in the store, which has that of the `last` snapshot."""
    restorable = read_package_hashes(tree)

    def add(file: str) -> str:
        """Link a file that a package can bring again, copy any other; return its hash."""
        path = file[len(str(tree)) + 1 :]
        recorded = restorable.get(path)
        is_byte_code = path.endswith(".pyc")
        if is_byte_code or (recorded and not is_edited_by_hand(path, file)):
            content = compute_sha256(file)
            if is_byte_code or content == recorded:
                store.link_object(file, content)
                return content
        return store.add_object(Path(file))

    scanned = scan(tree, store.index(), add)
    stored = {entry.content for entry in last.values()}
    for path, entry in scanned.entries.items():
        if entry.kind != "f" or entry.content in stored:
            continue
        if not store.has_object(entry.content) and add(f"{tree}/{path}") != entry.content:
            raise CondaProblem("busy", "the environment changed while it was copied", path)
    for path in scanned.skipped:
        events.note(f"{tree / path} is a socket, pipe or device: no snapshot has it")
    store.keep_index(scanned.index)
    return scanned


def is_edited_by_hand(path: str, file: str) -> bool:
    """Return whether an admin may edit a file in place: a script, a module, a setting."""
    if path.endswith(EDITED_SUFFIXES) or path.startswith("etc/"):
        return True
    return path.startswith("bin/") and Path(file).lstat().st_size <= MAX_SCRIPT_BYTES


def _description(
    number: int, request: Mapping[str, Any], last: TreeEntries, entries: TreeEntries
) -> dict[str, Any]:
    return {
        "number": number,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "user": request["user"],
        "command": request["command"],
        "changes": list_changes(last, entries) if last else ["as installed"],
        "names": [],
        "is_good": request.get("is_good"),
    }


def _prune(store: SnapshotStore, request: Mapping[str, Any], *, is_new: bool) -> None:
    """Remove the oldest snapshots above the limits; the first, the last and named ones stay."""
    numbers = store.numbers()
    removable = [n for n in numbers[1:-1] if not store.description(n)["names"]]
    excess = max(0, len(numbers) - request["most_snapshots"])
    for number in removable[:excess]:
        store.remove(number)
    for number in removable[excess:] if is_new else ():
        if store.size_bytes() <= request["most_bytes"]:
            break
        store.remove(number)


def describe(request: Mapping[str, Any]) -> dict[str, Any]:
    """Replace fields of a snapshot's description."""
    SnapshotStore(Path(request["versions"])).describe(request["number"], **request["changes"])
    return {}


def remove_after(request: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the snapshots with a higher number than the last one before a change."""
    store = SnapshotStore(Path(request["versions"]))
    for number in store.numbers():
        if number > request["last"]:
            store.remove(number)
    return {}


# Differences


def _different(
    old: TreeEntries, new: TreeEntries
) -> Iterable[tuple[str, TreeEntry | None, TreeEntry | None]]:
    for path in old.keys() | new.keys():
        before, after = old.get(path), new.get(path)
        if before != after:
            yield path, before, after


def is_significant(path: str, before: TreeEntry | None, after: TreeEntry | None) -> bool:
    """Return whether a difference is more than byte code, or the time of a file or directory."""
    if path.endswith((".pyc", "/__pycache__")):
        return False
    if before is None or after is None:
        return True
    return before._replace(mtime_ns=0) != after._replace(mtime_ns=0)


def find_packages(paths: Iterable[str]) -> dict[str, str]:
    """Return the packages of conda and pip with their versions, given all paths of a tree."""
    records = [p.removeprefix("conda-meta/") for p in paths if p.startswith("conda-meta/")]
    infos = [p.rpartition("/")[2] for p in paths if _SITE_PACKAGES.fullmatch(p)]
    conda = {
        normalize_name(name): version for name, version in parse_conda_packages(records).items()
    }
    return {**conda, **parse_distributions(infos)}


def list_package_changes(old: TreeEntries, new: TreeEntries) -> list[str]:
    """Return a line for each package that was added, changed or removed."""
    before, after = find_packages(old), find_packages(new)
    lines = [f"+ {name} {after[name]}" for name in sorted(after.keys() - before.keys())]
    lines += [
        f"~ {name} {before[name]} -> {after[name]}"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    return lines + [f"- {name} {before[name]}" for name in sorted(before.keys() - after.keys())]


def list_changes(old: TreeEntries, new: TreeEntries) -> list[str]:
    """Return a line for each package that changed; for other files, one line in all."""
    if lines := list_package_changes(old, new):
        return lines
    paths = sorted(path for path, *change in _different(old, new) if is_significant(path, *change))
    if not paths:
        return []
    named = ", ".join(paths[:NAMED_FILES])
    rest = len(paths) - NAMED_FILES
    return [f"~ {named}" + (f" and {rest} more" if rest > 0 else "")]


def compare(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return what leads from a snapshot to another one, or to the environment as it is."""
    store = SnapshotStore(Path(request["versions"]))
    old = store.entries(request["old"])
    new = (
        store.entries(request["new"])
        if request["new"]
        else scan(Path(request["prefix"]), store.index()).entries
    )
    paths = [
        f"{'+' if before is None else '-' if after is None else '~'} {path}"
        for path, before, after in _different(old, new)
        if is_significant(path, before, after)
    ]
    return {
        "packages": list_package_changes(old, new),
        "summary": list_changes(old, new),
        "paths": sorted(paths, key=lambda line: line[2:]),
    }


# Going back


async def restore(request: Mapping[str, Any]) -> dict[str, Any]:
    """Build the environment of a snapshot at `other`, and exchange it with the one in use.

    What is the same in both is linked. After the exchange `other` has the previous environment.
    """
    prefix, other = Path(request["prefix"]), Path(request["other"])
    store = SnapshotStore(Path(request["versions"]))
    entries = store.entries(request["snapshot"])
    events.begin_step("restoring the files")
    trees.remove_tree(other)
    current = scan(prefix, store.index()).entries if prefix.exists() else {}
    damaged = _build(store, entries, current, prefix, other)
    if damaged:
        await _fetch_damaged(damaged, entries, prefix, other)
    events.begin_step("exchanging the environments")
    trees.commit(prefix, other)
    return {}


def _build(
    store: SnapshotStore, entries: TreeEntries, current: TreeEntries, prefix: Path, other: Path
) -> list[str]:
    """Build a tree from a snapshot; files that the environment in use has are hard links.

    Return the paths whose content is damaged: their files were edited in place, and were links.
    """
    damaged = []
    directories = [(path, entry) for path, entry in sorted(entries.items()) if entry.kind == "d"]
    for path, _ in directories:
        (other / path).mkdir(mode=0o700, exist_ok=path == ".")
    for path, entry in entries.items():
        target = other / path
        if entry.kind == "l":
            target.symlink_to(entry.content)
            _set_metadata(target, entry)
        elif entry.kind == "f":
            if current.get(path) == entry and _linked(prefix / path, target):
                continue
            try:
                store.copy_object(entry.content, target)
            except CondaProblem:
                damaged.append(path)
                continue
            _set_metadata(target, entry)
    if (prefix / PACKAGE_CACHE).is_dir():
        trees.copy_tree(prefix / PACKAGE_CACHE, other / PACKAGE_CACHE)
    for path, entry in reversed(directories):
        _set_metadata(other / path, entry)
    return damaged


async def _fetch_damaged(
    damaged: Sequence[str], entries: TreeEntries, prefix: Path, other: Path
) -> None:
    """Take files from the packages that have them; leave out byte code, which Python makes again.

    Raises CondaProblem if a file is in no package, or its package cannot be fetched.
    """
    # Imported late: other operations on snapshots load no rattler.
    from tljh.conda.worker.package_files import find_owners, install_apart

    fetched = [path for path in damaged if not path.endswith(".pyc")]
    if not fetched:
        return
    owners = find_owners(other / "conda-meta", fetched)
    names = ", ".join(sorted(owner.name.normalized for owner in owners))
    events.begin_step(f"fetching files that were edited in place from {names or 'packages'}")
    with TemporaryDirectory(prefix=".fetched-", dir=other.parent) as scratch:
        try:
            tree = await install_apart(owners, other / "conda-meta", prefix, Path(scratch))
        except Exception as error:
            raise CondaProblem("snapshot", _DAMAGED, f"{names}: {error}") from error
        for path in fetched:
            source, entry, target = tree / path, entries[path], other / path
            if not source.is_file() or compute_sha256(source) != entry.content:
                raise CondaProblem("snapshot", _DAMAGED, f"content {entry.content} of {path}")
            directory = entries[str(Path(path).parent)]
            source.rename(target)
            _set_metadata(target, entry)
            _set_metadata(target.parent, directory)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        # Gone meanwhile, a mount point inside the tree, or too many links.
        return False
    return True


def _set_metadata(path: Path, entry: TreeEntry) -> None:
    # The owner first: a change of the owner clears setuid and setgid bits.
    if os.geteuid() == 0:
        os.chown(path, entry.uid, entry.gid, follow_symlinks=False)
    for name, value in entry.attributes.items():
        os.setxattr(path, name, bytes.fromhex(value), follow_symlinks=False)
    if entry.kind != "l":
        path.chmod(entry.mode)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
