"""Checks what py-rattler leaves unchecked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rattler import PrefixRecord, RepoDataRecord

from tljh.conda.worker.problems import Problem

BLOCK_BYTES = 1 << 20


def verify_local_archives(wanted: Sequence[RepoDataRecord], there: Sequence[PrefixRecord]) -> None:
    """Compare archives of file:// channels with their channel's hashes.

    py-rattler 0.28 does so for what it downloads, and takes a local file as it is.
    """
    installed = {record.url for record in there}
    for record in wanted:
        parts = urlsplit(record.url)
        if parts.scheme != "file" or record.url in installed or record.sha256 is None:
            continue
        path = Path(unquote(parts.path))
        if path.exists() and _sha256(path) != record.sha256:
            what = f"{path.name} is not the file that its channel promises"
            why = f"{path} has the sha256 {_sha256(path).hex()}, expected {record.sha256.hex()}"
            raise Problem("package", what, why)


def _sha256(path: Path) -> bytes:
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            found.update(block)
    return found.digest()
