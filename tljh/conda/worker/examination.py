"""What an environment lacks, compared with the records of conda and pip. No rattler is imported.

A file is as it should be if any record agrees with it: pip may have replaced files of a conda
package, and two packages may have brought the same file.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tljh.conda.environment import normalize_name
from tljh.conda.worker.record_problems import (
    PackageDefect,
    Records,
    find_record_problems,
    read_records,
)
from tljh.conda.worker.recorded_files import (
    BYTE_CODE,
    CondaPackage,
    PipDistribution,
    RecordedFile,
    read_pip_record,
)
from tljh.conda.worker.tree_scan import compute_sha256, hash_files, walk

# In these directories, also what belongs to no package is run by users.
PACKAGE_DIRECTORIES = ("bin/", "lib/", "conda-meta/", "include/", "share/jupyter/", "etc/jupyter/")

# Settings, which admins edit on purpose.
SETTINGS = ("etc/", "share/jupyter/lab/settings/", "ssl/")

# pip and conda write these for each other's installations.
UNSTABLE_NAMES = ("/RECORD", "/INSTALLER", "/REQUESTED", "/direct_url.json")

# Scripts that tljh puts in the place of conda's own.
MARK = b"# Written by tljh"


@dataclass
class Expected:
    """The content that records expect at a path, and the first package that has the path."""

    owner: tuple[str, str]
    hashes: set[str] = field(default_factory=set)
    sizes: set[int] = field(default_factory=set)


def examine(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the problems of an environment, as far as its files show them.

    With `is_quick`, no file is read but the records: what has the right size counts as unchanged.
    """
    prefix = Path(request["prefix"])
    records = read_records(prefix)
    infos = dict(walk(str(prefix)))
    expected, shadowed = collect_expected(prefix, records)
    problems = [
        *find_record_problems(prefix, records),
        *shadowed,
        *_find_missing(prefix, expected, infos),
        *_find_changed(prefix, expected, infos, is_quick=request["is_quick"]),
        *_find_modes(prefix, expected, infos, request["owner"]),
    ]
    return {
        "problems": [vars(problem) for problem in problems],
        "packages": len(records.conda),
        "files": len(expected),
    }


def collect_expected(
    prefix: Path, records: Records
) -> tuple[dict[str, Expected], list[PackageDefect]]:
    """Return what the records expect by path, and the conda packages that pip shadows."""
    expected: dict[str, Expected] = {}
    by_conda = records.from_conda
    by_pip: dict[str, list[PipDistribution]] = defaultdict(list)
    for distribution in records.distributions:
        owner = by_conda.get(distribution.dist_info)
        if owner is None or _is_reinstalled(prefix, owner, distribution):
            by_pip[distribution.name].append(distribution)
    problems = []
    for package in records.conda:
        replacing = [d for name in _list_distribution_names(package) for d in by_pip[name]]
        if replacing:
            versions = ", ".join(distribution.version for distribution in replacing)
            why = f"pip's {replacing[0].name} {versions} replaces conda's {package.version}"
            problems.append(PackageDefect("shadowed", package.name, "conda", why))
            # What of it is still there, pip left or has brought itself.
            continue
        _add_files(expected, (package.name, "conda"), package.files)
    for some in by_pip.values():
        for distribution in some:
            files = read_pip_record(prefix, distribution.dist_info) or ()
            _add_files(expected, (distribution.name, "pip"), files)
    return expected, problems


def _is_reinstalled(prefix: Path, owner: CondaPackage, distribution: PipDistribution) -> bool:
    """Return whether pip has installed the same version again over a conda package."""
    record = f"{distribution.dist_info}/RECORD"
    recorded = next((file.sha256 for file in owner.files if file.path == record), "")
    try:
        return bool(recorded) and compute_sha256(prefix / record) != recorded
    except OSError:
        return False


def _list_distribution_names(package: CondaPackage) -> set[str]:
    names = (path.rpartition("/")[2].removesuffix(".dist-info") for path in package.dist_infos)
    return {normalize_name(name.rpartition("-")[0]) for name in names}


def _add_files(
    expected: dict[str, Expected], owner: tuple[str, str], files: Iterable[RecordedFile]
) -> None:
    for file in files:
        if file.path.endswith(BYTE_CODE):
            continue
        entry = expected.setdefault(file.path, Expected(owner))
        # A path without a hash accepts every content.
        entry.hashes.add(file.sha256)
        if file.size is not None:
            entry.sizes.add(file.size)


def _group(kind: str, owners: Mapping[str, tuple[str, str]], why: str = "") -> list[PackageDefect]:
    """Return a problem for each package, given the owner of each path."""
    paths: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path, owner in owners.items():
        paths[owner].append(path)
    return [
        PackageDefect(kind, name, source, why, tuple(sorted(some)))
        for (name, source), some in sorted(paths.items())
    ]


def _find_missing(
    prefix: Path, expected: Mapping[str, Expected], infos: Mapping[str, os.stat_result]
) -> list[PackageDefect]:
    missing = {
        path: entry.owner
        for path, entry in expected.items()
        # A path that leads through a link to a directory is not among those that were walked.
        if path not in infos and not os.path.lexists(prefix / path)
    }
    return _group("missing", missing)


def _find_changed(
    prefix: Path,
    expected: Mapping[str, Expected],
    infos: Mapping[str, os.stat_result],
    *,
    is_quick: bool,
) -> list[PackageDefect]:
    changed: dict[str, tuple[str, str]] = {}
    settings: dict[str, tuple[str, str]] = {}
    examined = []
    for path, entry in expected.items():
        info = infos.get(path)
        if info is None or "" in entry.hashes or path.endswith(UNSTABLE_NAMES):
            continue
        if path.startswith("conda-meta/"):
            continue
        if not stat.S_ISREG(info.st_mode):
            # A link in the place of a file has the file's content, or is a change.
            examined.append(path)
        elif is_quick and entry.sizes and info.st_size not in entry.sizes:
            changed[path] = entry.owner
        else:
            examined.append(path)
    if not is_quick:
        contents = hash_files([f"{prefix}/{path}" for path in examined], _hash_readable)
        for path, content in zip(examined, contents, strict=True):
            if content not in expected[path].hashes:
                changed[path] = expected[path].owner
    for path in [path for path in changed if path.startswith(SETTINGS)]:
        settings[path] = changed.pop(path)
    ours = [path for path in changed if path.startswith("bin/") and _is_ours(prefix / path)]
    for path in ours:
        del changed[path]
    return [*_group("changed", changed), *_group("edited", settings)]


def _hash_readable(path: str) -> str:
    """Return the hash of a file; of one that cannot be read, such as a directory, none."""
    try:
        return compute_sha256(path)
    except FileNotFoundError:
        raise
    except OSError as error:
        return f"unreadable: {error.strerror}"


def _is_ours(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return MARK in stream.read(256)
    except OSError:
        return False


def _find_modes(
    prefix: Path,
    expected: Mapping[str, Expected],
    infos: Mapping[str, os.stat_result],
    owner: int,
) -> Iterator[PackageDefect]:
    """Yield what users can write to or cannot read, and programs that cannot be run.

    Private files of admins stay out: what belongs to no package, outside of its directories.
    """
    owners: dict[str, tuple[str, str]] = {}
    writable: dict[str, tuple[str, str]] = {}
    unreadable: dict[str, tuple[str, str]] = {}
    not_executable: dict[str, tuple[str, str]] = {}
    nobody = ("", "")
    folders = {parent for path in expected for parent in _list_parents(path)}
    for path, info in [(".", prefix.lstat()), *infos.items()]:
        is_recorded = path in expected or path in folders or path == "."
        if not is_recorded and not path.startswith(PACKAGE_DIRECTORIES):
            continue
        package = expected[path].owner if path in expected else nobody
        if info.st_uid != owner:
            owners[path] = package
        if stat.S_ISLNK(info.st_mode):
            continue
        is_shared = bool(info.st_mode & 0o020) and info.st_gid != 0 and is_recorded
        if info.st_mode & 0o002 or is_shared:
            writable[path] = package
        if is_recorded and not _is_readable(info) and not _is_private(info):
            unreadable[path] = package
        if path in expected and _lacks_execution(prefix, path, info):
            not_executable[path] = package
    yield from _group("owner", owners)
    yield from _group("writable", writable)
    yield from _group("unreadable", unreadable)
    yield from _group("mode", not_executable, "a program that cannot be run")


def _list_parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _is_readable(info: os.stat_result) -> bool:
    least = 0o005 if stat.S_ISDIR(info.st_mode) else 0o004
    return info.st_mode & least == least


def _is_private(info: os.stat_result) -> bool:
    """Return whether a group may read it and others may not: a licence, private on purpose."""
    return info.st_gid != 0 and bool(info.st_mode & 0o040)


def _lacks_execution(prefix: Path, path: str, info: os.stat_result) -> bool:
    """Return whether a binary or a Python script in bin is not executable.

    Scripts of other languages may be meant for inclusion.
    """
    if not path.startswith("bin/") or info.st_mode & 0o111 or not stat.S_ISREG(info.st_mode):
        return False
    return is_program(prefix / path)


def is_program(file: Path) -> bool:
    """Return whether a file is a binary or a script of Python, by how it begins."""
    try:
        with file.open("rb") as stream:
            line = stream.read(512).split(b"\n", 1)[0]
    except OSError:
        return False
    return line.startswith(b"\x7fELF") or (line.startswith(b"#!") and b"python" in line)
