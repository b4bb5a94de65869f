"""Files of packages, as the records of conda and pip list them. No rattler is imported."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tljh.conda.environment import normalize_name

# The byte code of a module may be written again at any time, with other content.
BYTE_CODE = ".pyc"

_DIST_INFO = re.compile(r"(.+?)-([^-]+)\.dist-info")


@dataclass(frozen=True)
class RecordedFile:
    """A file by its path in the environment; the hash and size are unknown for some."""

    path: str
    sha256: str = ""
    size: int | None = None


@dataclass(frozen=True)
class CondaPackage:
    """A conda package with its record in conda-meta."""

    name: str
    version: str
    build: str
    record: str
    files: tuple[RecordedFile, ...]
    dist_infos: frozenset[str]

    @property
    def identity(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"


@dataclass(frozen=True)
class PipDistribution:
    """A distribution by its metadata directory."""

    name: str
    version: str
    dist_info: str


def find_python_version(prefix: Path) -> str | None:
    """Return Python's version like `3.12`; None for an environment without Python."""
    for path in (prefix / "conda-meta").glob("python-[0-9]*-*.json"):
        return ".".join(path.name.split("-")[1].split(".")[:2])
    return None


def read_package_hashes(tree: Path) -> dict[str, str]:
    """Return the sha256 of each file that a conda package can bring again, by path."""
    hashes = {}
    for file in (tree / "conda-meta").glob("*.json"):
        hashes.update(read_recorded_hashes(file))
    return hashes


def read_recorded_hashes(file: Path) -> dict[str, str]:
    """Return the sha256 of a package's files, from its record; nothing from a damaged record."""
    try:
        paths = json.loads(file.read_bytes())["paths_data"]["paths"]
        hashes = {e["_path"]: e.get("sha256_in_prefix") or e.get("sha256") for e in paths}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {path: content for path, content in hashes.items() if content}


def read_conda_package(file: Path, python_version: str | None) -> CondaPackage | None:
    """Return a package by its record; None for a damaged one.

    conda's own records of noarch packages have paths as in the archive, such as site-packages/x.
    """
    try:
        fields = json.loads(file.read_bytes())
        # conda before 4.3 recorded the names only.
        names = [{"_path": path} for path in fields.get("files", ())]
        entries = fields.get("paths_data", {"paths": names})["paths"]
        files = tuple(
            RecordedFile(_find_place(entry["_path"], python_version), _read_hash(entry))
            for entry in entries
            if entry.get("path_type") != "directory"
        )
        parents = {file.path.rpartition("/")[0] for file in files}
        return CondaPackage(
            str(fields["name"]),
            str(fields["version"]),
            str(fields["build"]),
            f"conda-meta/{file.name}",
            files,
            frozenset(parent for parent in parents if parent.endswith(".dist-info")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _read_hash(entry: Mapping[str, str]) -> str:
    # The hash of a link is that of the file it points to.
    if entry.get("path_type") == "softlink":
        return ""
    if recorded := entry.get("sha256_in_prefix"):
        return recorded
    # A file into which the prefix was written differs from that in the package.
    return "" if entry.get("prefix_placeholder") else entry.get("sha256") or ""


def _find_place(path: str, python_version: str | None) -> str:
    if path.startswith("site-packages/") and python_version:
        return f"lib/python{python_version}/{path}"
    if path.startswith("python-scripts/"):
        return f"bin/{path.removeprefix('python-scripts/')}"
    return path


def read_distributions(prefix: Path, python_version: str) -> Iterator[PipDistribution]:
    """Yield each distribution of a version of Python, those of conda packages included."""
    inside = f"lib/python{python_version}/site-packages"
    try:
        names = sorted(path.name for path in (prefix / inside).iterdir())
    except OSError:
        return
    for name in names:
        match = _DIST_INFO.fullmatch(name)
        if match and not name.startswith("~"):
            yield PipDistribution(normalize_name(match[1]), match[2], f"{inside}/{name}")


def read_pip_record(prefix: Path, dist_info: str) -> tuple[RecordedFile, ...] | None:
    """Return the files that a RECORD lists below the prefix; None where it cannot be read."""
    try:
        text = (prefix / dist_info / "RECORD").read_text(errors="replace")
        rows = [row for row in csv.reader(text.splitlines()) if row and row[0]]
    except (OSError, csv.Error):
        return None
    base = dist_info.rpartition("/")[0]
    files = []
    for row in rows:
        path = os.path.normpath(f"{base}/{row[0]}")
        if path.startswith(f"{prefix}/"):
            path = path.removeprefix(f"{prefix}/")
        if path.startswith(("../", "/")):
            continue
        size = int(row[2]) if len(row) > 2 and row[2].isdigit() else None
        files.append(RecordedFile(path, _decode_hash(row[1] if len(row) > 1 else ""), size))
    return tuple(files)


def _decode_hash(text: str) -> str:
    """Return the sha256 of a RECORD's row as hexadecimal text; nothing for another hash."""
    algorithm, _, value = text.partition("=")
    if algorithm != "sha256":
        return ""
    try:
        return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).hex()
    except ValueError:
        return ""


def encode_hash(digest: bytes) -> str:
    """Return a sha256 as a RECORD has it."""
    return f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"


def read_metadata(prefix: Path, dist_info: str) -> tuple[str, str] | None:
    """Return name and version as the METADATA of a distribution has them; None without one."""
    try:
        text = (prefix / dist_info / "METADATA").read_text(errors="replace")
    except OSError:
        return None
    head = text.split("\n\n", 1)[0]
    name = re.search(r"^Name:\s*(\S+)", head, re.MULTILINE)
    version = re.search(r"^Version:\s*(\S+)", head, re.MULTILINE)
    return (name[1], version[1]) if name and version else None


def read_wheel_tags(prefix: Path, name: str) -> set[str]:
    """Return the tags of the wheel that a distribution was installed from, as pip has them."""
    version = find_python_version(prefix)
    for distribution in read_distributions(prefix, version) if version else ():
        if distribution.name == name:
            try:
                text = (prefix / distribution.dist_info / "WHEEL").read_text(errors="replace")
            except OSError:
                return set()
            return set(re.findall(r"^Tag:\s*(\S+)", text, re.MULTILINE))
    return set()
