"""Files that declare an environment: recognized by their content, and read. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from tljh.base.errors import Place, TljhError
from tljh.conda.foreign_files import find_foreign_kind
from tljh.conda.requirement_lines import parse_lines

Kind = Literal["lock", "conda-lock", "explicit list", "environment.yml", "requirements"]

# The first line of a file that `tljh env export` wrote: it declares all packages, so those that
# it does not have are removed. In a lock, that is always so.
EXPORT_MARK = "# Written by tljh env export"

READ_KINDS = (
    "environment.yml, requirements.txt, conda-lock.yml, a lock of rattler or pixi (pixi.lock), "
    "or a list of `conda list --explicit` or `--export`"
)

_RATTLER_LOCK = (r"^version:\s*\d+", r"^environments:", r"^packages:")

_CONDA_LOCK = (r"^version:\s*1\b", r"^metadata:", r"^package:")

_EXPLICIT = re.compile(r"^@EXPLICIT\s*$", re.MULTILINE)

# A version of exactly one build, as `conda env export` writes it.
_BUILD = re.compile(r"^([^\s=<>!~\[]+)={1,2}([^=\s\[,|]+)=([^=\s\[*]+)(\[.*)?$")

# `conda list --export`
_EXPORTED = re.compile(r"^([\w.-]+)=([^=\s]+)=([^=\s]+)$")

_ARCHIVE = re.compile(r"^(\S+?\.(?:conda|tar\.bz2))(?:#(?:sha256:)?([0-9a-f]+))?$")


@dataclass(frozen=True)
class PackageArchive:
    """A conda package of a lock, by its URL; a hash that is not known is empty."""

    url: str
    sha256: str = ""
    md5: str = ""


@dataclass(frozen=True)
class DeclaredEnvironment:
    """What a file asks for; with `is_exact`, packages that it does not have are removed.

    `lock` is the text of a lock for rattler. `requirements` has one requirement a line, or an
    option of pip.
    """

    kind: Kind
    is_exact: bool = False
    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    archives: tuple[PackageArchive, ...] = ()
    lock: str | None = None
    requirements: tuple[str, ...] = ()


def parse(
    text: str, source: str, subdir: str, make_absolute: Callable[[str], str]
) -> DeclaredEnvironment:
    """Return what a file declares for a platform such as linux-64. Raises TljhError.

    `make_absolute` does that for a file that a requirement refers to.
    """
    reader = _Reader(source, subdir, make_absolute)
    if not text.strip():
        reader.refuse("it is empty")
    if _has_all(text, _RATTLER_LOCK):
        return DeclaredEnvironment("lock", is_exact=True, lock=text)
    if _has_all(text, _CONDA_LOCK):
        return reader.read_conda_lock(text)
    if _EXPLICIT.search(text):
        return reader.read_explicit(text)
    foreign = find_foreign_kind(text)
    if foreign:
        reader.refuse(f"it is {foreign.name}", foreign.command)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if lines and all(_EXPORTED.match(line) for line in lines):
        return reader.read_exported(lines)
    if lines and re.match(r"""^(---|\{|["']?[\w-]+["']?\s*:(\s|$))""", lines[0]):
        return reader.read_environment(text)
    return reader.read_requirements(text)


def _has_all(text: str, patterns: Sequence[str]) -> bool:
    return all(re.search(pattern, text, re.MULTILINE) for pattern in patterns)


@dataclass(frozen=True)
class _Reader:
    """Reads files of one kind each; errors name `source`."""

    source: str
    subdir: str
    make_absolute: Callable[[str], str]

    def refuse(self, why: str, command: str | None = None, *, line: int | None = None) -> NoReturn:
        fix = f"give {READ_KINDS}"
        if command:
            fix += f"; such a file is made of it by: {command}"
        raise TljhError(
            f"{self.source} declares no environment that tljh can read",
            where=Place(self.source, line) if line else None,
            why=why,
            fix=fix,
        )

    def _refuse_entry(
        self, why: str, command: str | None = None, *, line: int | None = None
    ) -> NoReturn:
        """Refuse without the line: it counts the entries of `pip:`, not the file's lines."""
        self.refuse(why, command)

    def _load(self, text: str) -> Any:
        # Imported late: it takes a tenth of a second.
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            # All scalars are text: a version such as 1.10 is no number.
            return YAML(typ="base", pure=True).load(text)
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = mark.line + 1 if mark else None
            self.refuse(f"it is not YAML: {getattr(error, 'problem', error)}", line=line)

    def read_conda_lock(self, text: str) -> DeclaredEnvironment:
        document = self._load(text)
        packages = document["package"]
        if not isinstance(packages, list) or not all(isinstance(p, dict) for p in packages):
            self.refuse("it has no list of packages")
        here = [p for p in packages if p.get("platform") == self.subdir and self._is_main(p)]
        if not here:
            platforms = sorted({str(p.get("platform")) for p in packages})
            self.refuse(f"it is for {', '.join(platforms)}, and this machine is {self.subdir}")
        archives, requirements = [], []
        for package in here:
            hashes = package.get("hash") or {}
            url = str(package.get("url"))
            if package.get("manager") == "conda":
                sha256, md5 = str(hashes.get("sha256", "")), str(hashes.get("md5", ""))
                archives.append(PackageArchive(url, sha256, md5))
            else:
                name, version = str(package.get("name")), str(package.get("version"))
                digest = str(hashes.get("sha256", ""))
                requirements.append(format_requirement(name, version, url, digest))
        return DeclaredEnvironment(
            "conda-lock",
            is_exact=True,
            archives=tuple(archives),
            requirements=tuple(requirements),
        )

    def _is_main(self, package: dict[str, Any]) -> bool:
        return str(package.get("category", "main")) in ("main", "default")

    def read_explicit(self, text: str) -> DeclaredEnvironment:
        archives = []
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#") or line == "@EXPLICIT":
                continue
            match = _ARCHIVE.match(line)
            if match is None:
                self.refuse(f"after @EXPLICIT, {line!r} is no URL of a package", line=number)
            url, digest = match[1], match[2] or ""
            is_md5 = len(digest) == 32
            archives.append(PackageArchive(url, "" if is_md5 else digest, digest if is_md5 else ""))
        subdirs = {archive.url.rsplit("/", 2)[-2] for archive in archives if "/" in archive.url}
        if foreign := sorted(subdirs - {self.subdir, "noarch"}):
            self.refuse(f"it is for {', '.join(foreign)}, and this machine is {self.subdir}")
        return DeclaredEnvironment("explicit list", is_exact=True, archives=tuple(archives))

    def read_exported(self, lines: Sequence[str]) -> DeclaredEnvironment:
        specs, requirements = [], []
        for line in lines:
            name, version, build = line.split("=")
            if build.startswith("pypi_"):
                requirements.append(f"{name}=={version}")
            else:
                specs.append(normalize_spec(line))
        return DeclaredEnvironment(
            "environment.yml", specs=tuple(specs), requirements=tuple(requirements)
        )

    def read_environment(self, text: str) -> DeclaredEnvironment:
        document = self._load(text)
        if not isinstance(document, dict):
            self.refuse("it is a YAML file without `dependencies:`")
        if "dependencies" not in document:
            keys = ", ".join(map(str, list(document)[:4]))
            self.refuse(f"it has no `dependencies:`, but {keys}")
        dependencies = document["dependencies"] or []
        if not isinstance(dependencies, list):
            self.refuse("its `dependencies:` are no list of packages")
        specs: list[str] = []
        requirements: list[str] = []
        for item in dependencies:
            if isinstance(item, str):
                specs.append(normalize_spec(item))
            elif isinstance(item, dict) and list(item) == ["pip"]:
                lines = item["pip"] or []
                if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
                    self.refuse("its `pip:` is no list of requirements")
                requirements += lines
            else:
                self.refuse(f"its dependency {item!r} is neither a package nor `pip:`")
        channels = document.get("channels") or []
        if not isinstance(channels, list) or not all(isinstance(c, str) for c in channels):
            self.refuse("its `channels:` are no list of names or URLs")
        return DeclaredEnvironment(
            "environment.yml",
            is_exact=text.startswith(EXPORT_MARK),
            channels=tuple(channels),
            specs=tuple(specs),
            requirements=parse_lines(
                "\n".join(requirements), self.make_absolute, self._refuse_entry
            ),
        )

    def read_requirements(self, text: str) -> DeclaredEnvironment:
        return DeclaredEnvironment(
            "requirements",
            is_exact=text.startswith(EXPORT_MARK),
            requirements=parse_lines(text, self.make_absolute, self.refuse),
        )


def normalize_spec(spec: str) -> str:
    """Return a spec of conda as rattler reads it: 0.28 refuses `river=1.0=0`."""
    match = _BUILD.match(spec.strip())
    if match is None or match[2].endswith("*"):
        return spec.strip()
    name, version, build, more = match.groups()
    return f"{name} =={version} {build}{more or ''}"


def format_requirement(name: str, version: str, location: str, sha256: str) -> str:
    """Return the requirement for a package of a lock.

    One of PyPI is asked from the configured index, which may be a mirror; the hash makes it the
    same. Any other is fetched from its own place.
    """
    is_indexed = re.match(r"https://(files\.pythonhosted\.org|pypi\.org)/", location)
    text = f"{name}=={version}" if is_indexed else f"{name} @ {location}"
    is_file = not location.startswith("git+")
    return f"{text} --hash=sha256:{sha256}" if sha256 and is_file else text
