"""Writing of bundles, and unpacking into a directory that is removed afterwards."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tljh.base.bundles import MANIFEST, BundleFile, Manifest, is_safe_name, read_members, verify
from tljh.base.errors import TljhError

_BLOCK_BYTES = 1 << 20


@contextmanager
def scratch_directory(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield an empty directory for root alone, and remove it with all leftovers of killed runs.

    The caller holds a lock, so that no other process uses one of them.
    """
    parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for leftover in parent.glob(f"{prefix}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent) as scratch:
        yield Path(scratch)


def list_files(directory: Path) -> dict[str, BundleFile]:
    """Return the size and sha256 of each file below a directory, by its name in a bundle.

    Raises TljhError for a name that no bundle may have.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(directory).as_posix()
        if not is_safe_name(name):
            raise TljhError(f"a file of this name cannot be in a bundle: {name}")
        with path.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        files[name] = BundleFile(path.stat().st_size, digest.hexdigest())
    return files


def write_bundle(path: Path, manifest: Manifest, directory: Path) -> str:
    """Write the bundle of a directory's files; return its sha256. It appears whole or not at all.

    The same files give the same bytes.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("wb") as stream:
            with tarfile.open(fileobj=stream, mode="w:", format=tarfile.PAX_FORMAT) as archive:
                data = manifest.as_bytes()
                archive.addfile(_make_member(MANIFEST, len(data)), io.BytesIO(data))
                for name, file in manifest.files.items():
                    with (directory / name).open("rb") as content:
                        archive.addfile(_make_member(name, file.bytes), content)
            stream.flush()
            os.fsync(stream.fileno())
        with partial.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()


def _make_member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def unpack_bundle(path: Path, directory: Path) -> Manifest:
    """Check a bundle, then write its files below an empty directory; return its manifest."""
    manifest = verify(path)
    for name, blocks in read_members(path):
        file = directory / name
        file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        with file.open("xb") as stream:
            for block in blocks:
                stream.write(block)
    return manifest
