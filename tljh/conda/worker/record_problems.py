"""The records of conda and pip in an environment, and what is wrong with the records themselves."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tljh.conda.environment import normalize_name
from tljh.conda.worker.recorded_files import (
    CondaPackage,
    PipDistribution,
    find_python_version,
    read_conda_package,
    read_distributions,
    read_metadata,
    read_pip_record,
)

_HISTORY_LINE = re.compile(r"^([+-])(?:\S+::)?([a-z0-9_.-]+-[^-\s]+-[^-\s]+)$")


@dataclass(frozen=True)
class PackageDefect:
    """What is wrong with a package; `source` is conda or pip, `paths` are in the environment."""

    kind: str
    package: str
    source: str
    why: str = ""
    paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Records:
    """All records of an environment, and which conda packages pip's distributions shadow."""

    conda: Sequence[CondaPackage]
    damaged: Sequence[str]
    distributions: Sequence[PipDistribution]
    python_version: str | None

    @property
    def from_conda(self) -> Mapping[str, CondaPackage]:
        """Return the owners of metadata directories that conda packages have."""
        return {path: package for package in self.conda for path in package.dist_infos}


def read_records(prefix: Path) -> Records:
    """Read the records of conda and pip; a damaged one is left out."""
    version = find_python_version(prefix)
    conda, damaged = [], []
    for file in sorted((prefix / "conda-meta").glob("*.json")):
        package = read_conda_package(file, version)
        if package is None:
            damaged.append(f"conda-meta/{file.name}")
        else:
            conda.append(package)
    distributions = tuple(read_distributions(prefix, version)) if version else ()
    return Records(tuple(conda), tuple(damaged), distributions, version)


def find_record_problems(prefix: Path, records: Records) -> Iterator[PackageDefect]:
    """Yield what is wrong with the records themselves."""
    for path in records.damaged:
        name = path.removeprefix("conda-meta/").rsplit("-", 2)[0]
        yield PackageDefect("record", name, "conda", "conda's record is damaged", (path,))
    by_name: dict[str, list[CondaPackage]] = defaultdict(list)
    for package in records.conda:
        by_name[package.name].append(package)
        if package.record != f"conda-meta/{package.identity}.json":
            why = f"conda's record is of {package.identity}"
            yield PackageDefect("metadata", package.name, "conda", why, (package.record,))
    for name, some in by_name.items():
        if len(some) > 1:
            paths = tuple(package.record for package in some)
            yield PackageDefect(
                "metadata", name, "conda", f"conda has {len(some)} records of it", paths
            )
    for identity in _read_history(prefix):
        name = identity.rsplit("-", 2)[0]
        path = f"conda-meta/{identity}.json"
        if name not in by_name and path not in records.damaged:
            why = f"conda's history has {identity}, and there is no record of it"
            yield PackageDefect("record", name, "conda", why, (path,))
    yield from _find_distribution_problems(prefix, records)


def _find_distribution_problems(prefix: Path, records: Records) -> Iterator[PackageDefect]:
    by_name: dict[str, list[PipDistribution]] = defaultdict(list)
    owned = records.from_conda
    for distribution in records.distributions:
        by_name[distribution.name].append(distribution)
        package, path = owned.get(distribution.dist_info), (distribution.dist_info,)
        source = "conda" if package else "pip"
        metadata = read_metadata(prefix, distribution.dist_info)
        if metadata is None:
            why = "its metadata has no name and version"
            yield PackageDefect("metadata", distribution.name, source, why, path)
        elif normalize_name(metadata[0]) != distribution.name:
            why = f"its metadata is of {metadata[0]} {metadata[1]}"
            yield PackageDefect("metadata", distribution.name, source, why, path)
        if package is None and read_pip_record(prefix, distribution.dist_info) is None:
            why = "it has no RECORD, so pip can neither check nor remove it"
            yield PackageDefect("metadata", distribution.name, source, why, path)
    for name, some in by_name.items():
        if len(some) > 1:
            versions = ", ".join(distribution.version for distribution in some)
            paths = tuple(distribution.dist_info for distribution in some)
            yield PackageDefect("metadata", name, "pip", f"there is metadata of {versions}", paths)
    yield from _find_leftovers(prefix, records)


def _find_leftovers(prefix: Path, records: Records) -> Iterator[PackageDefect]:
    """Yield what an interrupted pip left, and distributions of a Python that is gone."""
    for library in sorted((prefix / "lib").glob("python3.*")):
        site_packages = library / "site-packages"
        if library.is_symlink() or not site_packages.is_dir():
            continue
        names = sorted(path.name for path in site_packages.iterdir())
        inside = str(site_packages.relative_to(prefix))
        if library.name == f"python{records.python_version}":
            paths = tuple(f"{inside}/{name}" for name in names if name.startswith("~"))
            if paths:
                yield PackageDefect("leftover", "", "pip", "an interrupted pip left it", paths)
            continue
        present = {distribution.name for distribution in records.distributions}
        infos = [name for name in names if name.endswith(".dist-info")]
        lost = [name for name in infos if _parse_name(name) not in present]
        version = library.name.removeprefix("python")
        for kind, some in (("lost", lost), ("leftover", sorted(set(infos) - set(lost)))):
            if some:
                why = f"installed for Python {version}, which is gone"
                paths = tuple(f"{inside}/{name}" for name in some)
                yield PackageDefect(kind, "", "pip", why, paths)


def _parse_name(dist_info: str) -> str:
    return normalize_name(dist_info.removesuffix(".dist-info").rpartition("-")[0])


def _read_history(prefix: Path) -> list[str]:
    """Return the packages that the history ends with, as name-version-build."""
    try:
        lines = (prefix / "conda-meta" / "history").read_text(errors="replace").splitlines()
    except OSError:
        return []
    present: dict[str, None] = {}
    for line in lines:
        if match := _HISTORY_LINE.match(line):
            sign, identity = match.groups()
            if sign == "+":
                present[identity] = None
            else:
                present.pop(identity, None)
    return list(present)
