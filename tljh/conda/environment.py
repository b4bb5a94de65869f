"""What the shared environment holds, and what it lacks of what it must hold. Pure.

It is a lower bound: what admins add or upgrade is theirs, whether by conda or by pip.
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

# Where worker/trees.py notes which build of ours stands in a prefix.
MARKER = Path("conda-meta/tljh-environment")


# How directories begin that nobody refers to yet; the next build removes what a kill left.
BUILDING = ".building-"


@dataclass(frozen=True)
class Wanted:
    """One package that shall be there.

    `constraint` follows conda's name in a spec, like `==6.1.1`; `at_least` is enough to be
    content with what is installed; `distribution` is Python's name of it where that differs.
    """

    name: str
    constraint: str = ""
    at_least: str | None = None
    distribution: str | None = None

    @property
    def spec(self) -> str:
        return f"{self.name}{self.constraint}"

    @classmethod
    def from_spec(cls, spec: str) -> Wanted:
        """Read a plugin's conda spec; a channel before `::` and what follows the name stay."""
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
    """An environment as its directories tell: no file of a package is opened."""

    conda: Mapping[str, str] = field(default_factory=dict)
    distributions: Mapping[str, str] = field(default_factory=dict)
    commands: frozenset[str] = frozenset()
    generation: int = 0
    requirements: frozenset[str] = frozenset()

    def version(self, wanted: Wanted) -> str | None:
        """What Python would import wins: pip may have replaced what conda thinks is there."""
        distribution = canonical(wanted.distribution or wanted.bare_name)
        return self.distributions.get(distribution) or self.conda.get(wanted.bare_name)


def canonical(name: str) -> str:
    """A Python distribution's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_environment(host: HostReader, prefix: Path) -> UserEnvironment | None:
    """None where no environment stands."""
    if host.info(prefix / "conda-meta") is None:
        return None
    conda = conda_packages(host.listdir(prefix / "conda-meta"))
    found: dict[str, str] = {}
    for library in host.listdir(prefix / "lib"):
        if re.fullmatch(r"python3\.\d+", library):
            found |= distributions(host.listdir(prefix / "lib" / library / "site-packages"))
    marker = _marker(host.read(prefix / MARKER) or b"")
    return UserEnvironment(
        conda,
        found,
        frozenset(host.listdir(prefix / "bin")),
        int(marker.get("generation", 0)),
        frozenset(marker.get("requirements", ())),
    )


def conda_packages(names: Iterable[str]) -> dict[str, str]:
    """Versions by name, from the file names in a conda-meta directory: name-version-build.json."""
    found = {}
    for name in names:
        parts = name.removesuffix(".json").rsplit("-", 2)
        if name.endswith(".json") and len(parts) == 3:
            found[parts[0]] = parts[1]
    return found


def distributions(names: Iterable[str]) -> dict[str, str]:
    """Versions by canonical name, from the file names in a site-packages directory."""
    found = {}
    for name in names:
        match = re.fullmatch(r"(.+?)-([^-]+)\.dist-info", name)
        if match:
            found[canonical(match[1])] = match[2]
    return found


def _marker(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def requirement_digest(text: str) -> str:
    """How the marker remembers a requirements file: it may hold an index with a password."""
    return sha256(text.encode()).hexdigest()


def lacking(environment: UserEnvironment, wanted: Sequence[Wanted]) -> list[Wanted]:
    """What is not there, or not new enough."""
    return [package for package in wanted if not _is_content(environment, package)]


def shadowed(environment: UserEnvironment, missing: Sequence[Wanted]) -> list[str]:
    """Distributions that pip put over a conda package that would do; conda can't see them."""
    return [
        canonical(package.distribution or package.bare_name)
        for package in missing
        if package.at_least
        and (there := environment.conda.get(package.bare_name))
        and is_at_least(there, package.at_least)
    ]


def _is_content(environment: UserEnvironment, package: Wanted) -> bool:
    version = environment.version(package)
    if version is None:
        return False
    if package.at_least is not None:
        return is_at_least(version, package.at_least)
    return _fits(version, package.constraint)


def is_at_least(version: str, least: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) >= Version(least)
    except InvalidVersion:
        return version == least


def _fits(version: str, constraint: str) -> bool:
    """Whether a version satisfies conda's constraint; true for forms that only conda can read."""
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
