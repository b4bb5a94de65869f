"""Packages of a bundle in place of the network: checked, unpacked, and kept for later commands.

A bundle is unpacked into the directory of hub environments, as bundle-<digest>. It stays there:
later changes of the hub environment and of the user environment need the same packages.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from shlex import quote

from tljh.base.bundles import (
    BOOTSTRAP,
    MANIFEST,
    UNPACKED,
    VARIABLE,
    Manifest,
    find_mismatches,
    read_members,
)
from tljh.base.errors import Finding
from tljh_installer.environment import SCRATCH, write_to_disk
from tljh_installer.facts import MachineFacts
from tljh_installer.index import sha256_of
from tljh_installer.release import Payload


def find_problems(
    path: Path, manifest: Manifest, facts: MachineFacts, payload: Payload
) -> list[Finding]:
    """Return why the bundle does not fit this machine, or this bootstrap."""
    findings = find_mismatches(
        manifest,
        path,
        architecture=facts.architecture,
        distribution=f"{facts.os_id}{facts.os_version}",
    )
    if manifest.lock_sha256 != sha256_of(payload.lock.encode()):
        findings.append(
            Finding(
                f"the bundle {path} belongs to tljh {manifest.version}, and this bootstrap.py to "
                f"{payload.version}",
                why="their lists of packages differ",
                fix=f"use the bootstrap.py in the bundle: tar -xf {quote(str(path))} {BOOTSTRAP}",
            )
        )
    return findings


def unpack(path: Path, manifest: Manifest, versions: Path) -> Path:
    """Return the directory with the files of the bundle; it appears whole, or not at all."""
    directory = versions / manifest.directory_name
    if _is_whole(directory, manifest):
        return directory
    shutil.rmtree(directory, ignore_errors=True)
    versions.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=versions) as scratch:
        root = Path(scratch) / directory.name
        root.mkdir(mode=0o755)
        for name, blocks in read_members(path):
            file = root / name
            file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            with file.open("xb") as stream:
                for block in blocks:
                    stream.write(block)
        (root / MANIFEST).write_bytes(manifest.as_bytes())
        # Without this, a power failure could leave a whole directory with empty files.
        write_to_disk(root)
        root.rename(directory)
    return directory


def _is_whole(directory: Path, manifest: Manifest) -> bool:
    """Return whether a directory has exactly the files of the manifest."""
    try:
        if (directory / MANIFEST).read_bytes() != manifest.as_bytes():
            return False
        return all(
            _compute_sha256(directory / name) == file.sha256
            for name, file in manifest.files.items()
        )
    except OSError:
        return False


def _compute_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def remove_unused(prefix: Path) -> None:
    """Remove the unpacked bundles that the installed hub does not take its packages from."""
    used = ""
    with contextlib.suppress(OSError, ValueError):
        kept = json.loads((prefix / "state" / "environment.json").read_text())
        used = Path(kept.get(VARIABLE, "")).name
    for directory in (prefix / "versions").glob(f"{UNPACKED}*"):
        if directory.name != used:
            shutil.rmtree(directory, ignore_errors=True)
