"""From specs to an exact list of packages (a lock), and back to the records in a lock.

Writes nothing but temporary directories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from rattler import (
    Channel,
    Client,
    Config,
    Gateway,
    LockChannel,
    LockFile,
    LockPlatform,
    PrefixRecord,
    RepoDataRecord,
    Subdir,
    VirtualPackage,
)
from rattler import solve as rattler_solve

from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.prefix import read_pinned_specs, read_prefix_records

BLOCK_BYTES = 1 << 20


def make_network_client() -> Client:
    """Return a client that uses the environment's proxies and the system's certificates."""
    return Client.from_config(Config.from_toml('tls-root-certs = "system"'))


async def solve(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request with a lock for its specs, and the difference from `prefix`.

    The user environment belongs to the admins, and the request is only a lower bound. So every
    installed package is a spec too, and keeps its version where that is possible.
    """
    prefix = Path(request["prefix"])
    installed = read_prefix_records(prefix)
    specs = list(request["specs"])
    requested = {spec.replace("=", " ").replace(">", " ").split()[0] for spec in specs}
    kept = [r.name.normalized for r in installed if r.name.normalized not in requested]
    channels = [Channel(url) for url in request["channels"]]
    with TemporaryDirectory(prefix="tljh-solve-") as scratch:
        records = await rattler_solve(
            channels,
            [*specs, *kept],
            gateway=Gateway(cache_dir=Path(scratch), client=make_network_client()),
            locked_packages=installed,
            virtual_packages=VirtualPackage.detect(),
            constraints=read_pinned_specs(prefix),
        )
        lock = format_lock(channels, records, Path(scratch) / "lock.yml")
    return {"lock": lock, **_compare_records(installed, records)}


def format_lock(channels: list[Channel], records: list[RepoDataRecord], scratch: Path) -> str:
    """Return the text of a lock for this platform; `scratch` is a file that it may write."""
    platform = LockPlatform(str(Subdir.current()))
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(channel.base_url) for channel in channels])
    for record in records:
        lock.add_conda_package("default", platform, record)
    lock.to_path(scratch)
    return scratch.read_text()


def parse_lock(lock: str) -> list[RepoDataRecord]:
    """Return the packages in a lock for this platform."""
    with TemporaryDirectory(prefix="tljh-lock-") as scratch:
        path = Path(scratch) / "lock.yml"
        path.write_text(lock)
        file = LockFile.from_path(path)
        environment = file.default_environment()
        if environment is None:
            return []
        platform = file.platforms()[0]
        return environment.conda_repodata_records_for_platform(platform) or []


def _compare_records(installed: list[Any], solved: list[RepoDataRecord]) -> dict[str, Any]:
    def versions(records: list[Any]) -> dict[str, str]:
        return {r.name.normalized: f"{r.version} {r.build}" for r in records}

    before, after = versions(installed), versions(solved)
    new = [r for r in solved if before.get(r.name.normalized) != after[r.name.normalized]]
    return {
        "added": {name: after[name].split()[0] for name in sorted(set(after) - set(before))},
        "changed": {
            name: [before[name].split()[0], after[name].split()[0]]
            for name in sorted(set(before) & set(after))
            if before[name] != after[name]
        },
        "removed": sorted(set(before) - set(after)),
        "download_bytes": sum(r.size or 0 for r in new),
    }


def verify_local_archives(
    locked: Sequence[RepoDataRecord], installed: Sequence[PrefixRecord]
) -> None:
    """Check archives of file:// channels against their channel's hashes; raise CondaProblem.

    py-rattler 0.28 checks only what it downloads, and links a damaged local file as it is.
    """
    installed_urls = {record.url for record in installed}
    for record in locked:
        parts = urlsplit(record.url)
        if parts.scheme != "file" or record.url in installed_urls or record.sha256 is None:
            continue
        path = Path(unquote(parts.path))
        if path.exists() and compute_sha256(path) != record.sha256:
            what = f"{path.name} is not the file that its channel lists"
            digest = compute_sha256(path).hex()
            why = f"{path} has the sha256 {digest}, expected {record.sha256.hex()}"
            raise CondaProblem("package", what, why)


def compute_sha256(path: Path) -> bytes:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    return digest.digest()
