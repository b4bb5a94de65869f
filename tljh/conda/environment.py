"""What a conda environment contains and which required packages it lacks.

The required packages are a lower bound: what admins add or upgrade with conda or pip stays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from tljh.host.interface import HostReader

# Written by worker/transaction.py: the number of our last build in this prefix, and digests of
# the requirements files it installed.
MARKER = Path("conda-meta/tljh-environment")


# Prefix of directories under versions/ that nothing refers to yet. A killed run may leave one;
# the next build removes it.
BUILDING = ".building-"


@dataclass(frozen=True)
class RequiredPackage:
    """A package that the user environment must contain.

    `constraint` follows the name in a conda spec, like `==6.1.1`. With `at_least`, any installed
    version from there on is accepted. `distribution` is the Python distribution's name, where it
    differs from conda's.
    """

    name: str
    constraint: str = ""
    at_least: str | None = None
    distribution: str | None = None

    @property
    def spec(self) -> str:
        return f"{self.name}{self.constraint}"

    @classmethod
    def from_spec(cls, spec: str) -> RequiredPackage:
        """Split a plugin's conda spec, `[channel::]name[constraint]`, without interpreting it."""
        match = re.match(r"^\s*((?:[^\s:]+::)?[A-Za-z0-9._-]+)(.*)$", spec, re.DOTALL)
        if match is None:
            return cls(spec)
        name, rest = match.groups()
        return cls(name, rest.rstrip())

    @property
    def bare_name(self) -> str:
        return self.name.rpartition("::")[2].lower()


@dataclass(frozen=True)
class UserEnvironment:
    """Packages of an environment, as far as file names show them; no package file is opened."""

    conda: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, str] = field(default_factory=dict)
    generation: int = 0
    requirements: frozenset[str] = frozenset()

    def version(self, package: RequiredPackage) -> str | None:
        """Return the version of a package that Python would import; None if it is missing.

        pip may have replaced the files of a conda package without changing conda's record, so the
        .dist-info is looked up first.
        """
        distribution = normalize_name(package.distribution or package.bare_name)
        return self.distributions.get(distribution) or self.conda.get(package.bare_name)


def normalize_name(name: str) -> str:
    """Normalize the name of a Python distribution as PEP 503 says."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_environment(host: HostReader, prefix: Path) -> UserEnvironment | None:
    """Read the environment at `prefix`; None where there is no conda-meta directory."""
    if host.info(prefix / "conda-meta") is None:
        return None
    conda = parse_conda_packages(host.listdir(prefix / "conda-meta"))
    python_packages: dict[str, str] = {}
    for library in host.listdir(prefix / "lib"):
        if re.fullmatch(r"python3\.\d+", library):
            names = host.listdir(prefix / "lib" / library / "site-packages")
            python_packages |= parse_distributions(names)
    marker = _parse_marker(host.read(prefix / MARKER) or b"")
    return UserEnvironment(
        conda,
        python_packages,
        int(marker.get("generation", 0)),
        frozenset(marker.get("requirements", ())),
    )


def parse_conda_packages(file_names: Iterable[str]) -> dict[str, str]:
    """Map names to versions, given the files of conda-meta: `name-version-build.json`."""
    versions = {}
    for file_name in file_names:
        parts = file_name.removesuffix(".json").rsplit("-", 2)
        if file_name.endswith(".json") and len(parts) == 3:
            versions[parts[0]] = parts[1]
    return versions


def parse_distributions(file_names: Iterable[str]) -> dict[str, str]:
    """Map canonical names to versions, given the files of site-packages: `*.dist-info`."""
    versions = {}
    for file_name in file_names:
        match = re.fullmatch(r"(.+?)-([^-]+)\.dist-info", file_name)
        if match:
            versions[normalize_name(match[1])] = match[2]
    return versions


def _parse_marker(data: bytes) -> dict[str, Any]:
    try:
        marker = json.loads(data)
    except ValueError:
        return {}
    return marker if isinstance(marker, dict) else {}


def compute_digest(text: str) -> str:
    """Return a hash of a requirements file, by which the next run sees that it is unchanged.

    The text itself is not stored: it may hold an index URL with a password, and the marker in the
    environment is readable by all users.
    """
    return sha256(text.encode()).hexdigest()


def find_missing_packages(
    environment: UserEnvironment, required: Sequence[RequiredPackage]
) -> list[RequiredPackage]:
    """Return the required packages that are absent, too old, or outside their constraint."""
    return [package for package in required if not _is_satisfied(environment, package)]


def find_shadowed_distributions(
    environment: UserEnvironment, missing: Sequence[RequiredPackage]
) -> list[str]:
    """Return the distributions where pip installed an older version over a good conda package.

    conda's record still names its own version, so the solver would change nothing; these
    packages have to be linked again.
    """
    return [
        normalize_name(package.distribution or package.bare_name)
        for package in missing
        if package.at_least
        and (recorded := environment.conda.get(package.bare_name))
        and is_at_least(recorded, package.at_least)
    ]


def _is_satisfied(environment: UserEnvironment, package: RequiredPackage) -> bool:
    version = environment.version(package)
    if version is None:
        return False
    if package.at_least is not None:
        return is_at_least(version, package.at_least)
    return _matches(version, package.constraint)


def is_at_least(version: str, minimum: str) -> bool:
    """Compare by PEP 440; a version that is not in that form must be equal."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) >= Version(minimum)
    except InvalidVersion:
        return version == minimum


def _matches(version: str, constraint: str) -> bool:
    """Check a version against conda's constraint; True for forms that only conda understands.

    With False for those, the package would be missing after every build, and every install
    would build again.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = constraint.strip()
    if not text:
        return True
    if re.fullmatch(r"=\s*[\w.!+]+", text):  # conda: `=1.2` is any 1.2.*
        text = f"=={text[1:].strip()}.*"
    elif re.fullmatch(r"[\w.!+]+(\.\*)?", text):  # conda: `name 1.2`, `name 1.2.*`
        text = f"=={text}"
    try:
        return SpecifierSet(text, prereleases=True).contains(version)
    except InvalidSpecifier:
        return True
