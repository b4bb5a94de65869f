"""From wanted specs to an exact list of packages; writes nothing but a temporary directory."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import (
    Channel,
    Client,
    Config,
    Gateway,
    LockChannel,
    LockFile,
    LockPlatform,
    RepoDataRecord,
    Subdir,
    VirtualPackage,
)
from rattler import solve as rattler_solve

from tljh.conda.worker.prefix import pinned_specs, prefix_records


def network_client() -> Client:
    """Follows the proxies of the environment and the machine's own certificates."""
    return Client.from_config(Config.from_toml('tls-root-certs = "system"'))


async def solve(request: dict[str, Any]) -> dict[str, Any]:
    """Answer with the lock of everything wanted, and with what differs from `prefix`.

    Every package that is installed stays, in its version where that is possible: admins
    put them there, and ours is only a lower bound.
    """
    prefix = Path(request["prefix"])
    installed = prefix_records(prefix)
    specs = list(request["specs"])
    named = {spec.replace("=", " ").replace(">", " ").split()[0] for spec in specs}
    kept = [r.name.normalized for r in installed if r.name.normalized not in named]
    channels = [Channel(url) for url in request["channels"]]
    with TemporaryDirectory(prefix="tljh-solve-") as scratch:
        records = await rattler_solve(
            channels,
            [*specs, *kept],
            gateway=Gateway(cache_dir=Path(scratch), client=network_client()),
            locked_packages=installed,
            virtual_packages=VirtualPackage.detect(),
            constraints=pinned_specs(prefix),
        )
        lock = _lock_text(channels, records, Path(scratch) / "lock.yml")
    return {"lock": lock, **_changes(installed, records)}


def _lock_text(channels: list[Channel], records: list[RepoDataRecord], scratch: Path) -> str:
    platform = LockPlatform(str(Subdir.current()))
    lock = LockFile([platform])
    lock.set_channels("default", [LockChannel(channel.base_url) for channel in channels])
    for record in records:
        lock.add_conda_package("default", platform, record)
    lock.to_path(scratch)
    return scratch.read_text()


def locked_records(lock: str) -> list[RepoDataRecord]:
    """The packages that a lock names for this platform."""
    with TemporaryDirectory(prefix="tljh-lock-") as scratch:
        path = Path(scratch) / "lock.yml"
        path.write_text(lock)
        file = LockFile.from_path(path)
        environment = file.default_environment()
        if environment is None:
            return []
        platform = file.platforms()[0]
        return environment.conda_repodata_records_for_platform(platform) or []


def _changes(installed: list[Any], wanted: list[RepoDataRecord]) -> dict[str, Any]:
    def versions(records: list[Any]) -> dict[str, str]:
        return {r.name.normalized: f"{r.version} {r.build}" for r in records}

    before, after = versions(installed), versions(wanted)
    new = [r for r in wanted if before.get(r.name.normalized) != after[r.name.normalized]]
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
