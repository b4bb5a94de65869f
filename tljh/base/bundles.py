"""Bundles: one file with every package of an installation, for machines without a network.

A bundle is a tar archive without compression, as its packages are compressed already. Its first
member is the manifest, which has the size and the sha256 of every other member. `verify` reads all
of it before anything is unpacked; names, kinds and sizes of members are only believed if they are
those of the manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shlex import quote
from typing import IO, Any

from tljh.base.errors import Finding, Place, TljhError

FORMAT = 1
MANIFEST = "manifest.json"
# The self-contained bootstrap of the release that the bundle belongs to.
BOOTSTRAP = "bootstrap.py"
WHEELS = "wheels"
APT = "apt"
CHANNEL = "channel"
# The start of the names of unpacked bundles, in the directory of hub environments.
UNPACKED = "bundle-"
# The variable with the directory of the bundle that a hub was installed from.
VARIABLE = "TLJH_BUNDLE"

_MOST_MANIFEST_BYTES = 32 << 20
_BLOCK_BYTES = 1 << 20
_NAME = re.compile(rf"{BOOTSTRAP}|({WHEELS}|{APT}|{CHANNEL})(/[A-Za-z0-9_+=!~@,-][\w.+=!~@,%-]*)+")
# What would send pip, uv and conda's engine elsewhere than to the bundle.
_OTHER_SOURCES = (
    *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"),
    *("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"),
    *("UV_NO_INDEX", "TLJH_CONDA_CHANNELS", VARIABLE),
)


@dataclass(frozen=True)
class BundleFile:
    """The size and the sha256 of a member."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a bundle is for, and what is in it.

    `distribution` is like `debian12`. `packages` and `pip_packages` are specs that were asked for
    in addition to what a hub needs.
    """

    version: str
    lock_sha256: str
    architecture: str
    distribution: str
    created: str
    files: Mapping[str, BundleFile]
    packages: tuple[str, ...] = ()
    pip_packages: tuple[str, ...] = ()
    digest: str = field(default="", compare=False)

    @property
    def directory_name(self) -> str:
        """The name of the directory that the bundle is unpacked to."""
        return f"{UNPACKED}{self.digest[:12]}"

    @property
    def total_bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())

    def __str__(self) -> str:
        return (
            f"for {self.distribution}, {self.architecture}, of release {self.version}: "
            f"{len(self.files)} files, {self.total_bytes / 1e6:.0f} MB, made {self.created[:10]}"
        )

    def as_bytes(self) -> bytes:
        values = {name: value for name, value in asdict(self).items() if name != "digest"}
        return json.dumps({"format": FORMAT, **values}, indent=1).encode() + b"\n"


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest in its text. Raises ValueError for any other."""
    values: dict[str, Any] = json.loads(data)
    if values["format"] != FORMAT:
        raise ValueError("another release of tljh made it")
    files = {
        str(name): BundleFile(int(file["bytes"]), str(file["sha256"]))
        for name, file in values["files"].items()
    }
    for name in files:
        if not is_safe_name(name):
            raise ValueError(f"it lists {name!r}, which is no name of a file in a bundle")
    return Manifest(
        version=str(values["version"]),
        lock_sha256=str(values["lock_sha256"]),
        architecture=str(values["architecture"]),
        distribution=str(values["distribution"]),
        created=str(values["created"]),
        files=files,
        packages=tuple(map(str, values["packages"])),
        pip_packages=tuple(map(str, values["pip_packages"])),
        digest=hashlib.sha256(data).hexdigest(),
    )


def is_safe_name(name: str) -> bool:
    """Return whether a member of this name stays below the directory it is unpacked to."""
    return _NAME.fullmatch(name) is not None


def _refuse(path: Path, why: str) -> TljhError:
    return TljhError(
        f"{path} is not a bundle of tljh",
        why=why,
        fix="make one on a machine with a network: sudo tljh bundle create FILE",
    )


def _damaged(path: Path, member: str, why: str) -> TljhError:
    return TljhError(
        f"the bundle {path} is damaged",
        where=Place(member),
        why=why,
        fix="copy it here again, and compare the output of sha256sum with that of the machine "
        "where it was made; nothing was changed",
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[tarfile.TarFile, Manifest]]:
    try:
        with tarfile.open(path, "r:") as archive:
            first = archive.next()
            if first is None or first.name != MANIFEST or not first.isreg():
                raise _refuse(path, f"its first member is not {MANIFEST}")
            if first.size > _MOST_MANIFEST_BYTES:
                raise _refuse(path, f"its {MANIFEST} is too large")
            stream = archive.extractfile(first)
            data = stream.read() if stream else b""
            try:
                manifest = parse_manifest(data)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise _refuse(path, f"its {MANIFEST} cannot be read: {error}") from error
            yield archive, manifest
    except FileNotFoundError:
        raise TljhError(f"there is no file {path}") from None
    except tarfile.TarError as error:
        raise _refuse(path, f"it is not a whole tar archive: {error}") from error


def read_manifest(path: Path) -> Manifest:
    """Return the manifest of a bundle. Raises TljhError for any other file."""
    with _opened(path) as (_, manifest):
        return manifest


def read_members(path: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each file of a bundle and its content; each has to be read before the next one.

    Raises TljhError, in the end at the latest, unless all are as the manifest lists them.
    """
    with _opened(path) as (archive, manifest):
        missing = dict(manifest.files)
        while (member := archive.next()) is not None:
            expected = missing.pop(member.name, None)
            if expected is None:
                raise _damaged(path, member.name, "its manifest does not list this file, or once")
            if not member.isreg() or member.size != expected.bytes:
                raise _damaged(path, member.name, f"it is no file of {expected.bytes} bytes")
            yield member.name, _read_checked(path, archive, member, expected)
        if missing:
            name = min(missing)
            raise _damaged(path, name, f"{len(missing)} files are missing: the end is cut off")


def _read_checked(
    path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, expected: BundleFile
) -> Iterator[bytes]:
    stream = archive.extractfile(member)
    digest = hashlib.sha256()
    while block := _read_block(path, stream, member.name):
        digest.update(block)
        yield block
    if digest.hexdigest() != expected.sha256:
        why = f"its sha256 is {digest.hexdigest()}, expected {expected.sha256}"
        raise _damaged(path, member.name, why)


def _read_block(path: Path, stream: IO[bytes] | None, member: str) -> bytes:
    try:
        return stream.read(_BLOCK_BYTES) if stream else b""
    except tarfile.TarError as error:
        raise _damaged(path, member, f"the end is cut off: {error}") from error


def verify(path: Path) -> Manifest:
    """Read all of a bundle, and return its manifest. Raises TljhError for any difference."""
    manifest = read_manifest(path)
    for _, blocks in read_members(path):
        for _ in blocks:
            pass
    return manifest


def find_mismatches(
    manifest: Manifest, path: Path, *, architecture: str, distribution: str
) -> list[Finding]:
    """Return why a bundle is for another machine than one of this kind."""
    command = f"sudo tljh bundle create {quote(path.name)}"
    options = f"--architecture {architecture} --distribution {distribution}"
    fix = f"on a machine with a network: {command} {options}"
    findings = []
    if manifest.architecture != architecture:
        what = f"the bundle {path} is for {manifest.architecture} processors"
        findings.append(Finding(what, why=f"this machine has {architecture}", fix=fix))
    if manifest.distribution != distribution:
        what = f"the bundle {path} is for {manifest.distribution}"
        findings.append(Finding(what, why=f"this machine runs {distribution}", fix=fix))
    return findings


def make_bundle_variables(directory: Path) -> dict[str, str]:
    """Return the variables by which pip, uv and apt take packages from an unpacked bundle."""
    return {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(directory / WHEELS),
        VARIABLE: str(directory),
    }


def without_other_sources(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables that name package indexes and channels."""
    return {name: value for name, value in environ.items() if name not in _OTHER_SOURCES}


def without_bundle(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables of an unpacked bundle, if it has them."""
    if VARIABLE not in environ:
        return dict(environ)
    own = make_bundle_variables(Path(environ[VARIABLE]))
    return {name: value for name, value in environ.items() if name not in own}
