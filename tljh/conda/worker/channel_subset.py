"""A channel in a directory, with just the packages that some environments need.

The records are those of the channel, not read from the packages: channels correct the
dependencies of packages after they were built.
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from rattler import (
    BuildString,
    Channel,
    Client,
    Gateway,
    GenericVirtualPackage,
    PackageName,
    RepoDataRecord,
    Subdir,
    Version,
)
from rattler import solve as rattler_solve
from rattler.exceptions import SolverError
from rattler.package_streaming import download_to_path

from tljh.conda.worker import events
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.solving import compute_sha256, make_network_client

# Downloads at the same time.
_PARALLEL = 8


async def copy_channel(request: Mapping[str, Any]) -> dict[str, Any]:
    """Solve each list of specs for a platform, and write a channel with the packages.

    Of `choices`, the first list that can be satisfied is taken; none has to be.
    """
    directory = Path(request["directory"])
    channels = [Channel(url) for url in request["channels"]]
    client = make_network_client()
    with TemporaryDirectory(prefix="tljh-solve-") as scratch:
        gateway = Gateway(cache_dir=Path(scratch), client=client)

        async def solve(specs: Sequence[str]) -> list[RepoDataRecord]:
            return await rattler_solve(
                channels,
                specs,
                gateway=gateway,
                platforms=[Subdir(request["platform"]), Subdir("noarch")],
                virtual_packages=[
                    _make_virtual_package(name, text)
                    for name, text in request["virtual_packages"].items()
                ],
            )

        try:
            records = await solve(request["specs"])
        except SolverError as error:
            what = f"no channel has what a hub needs, for {request['platform']}"
            raise CondaProblem("channel", what, str(error)) from error
        if request["added"]:
            # What is installed later is added to what a hub has.
            records += await solve([*request["specs"], *request["added"]])
        for specs in request["choices"]:
            try:
                records += await solve(specs)
                break
            except SolverError:
                continue
    unique = {(record.subdir, record.file_name): record for record in records}
    await _fetch_all(directory, list(unique.values()), client)
    for subdir in (request["platform"], "noarch"):
        chosen = [record for record in unique.values() if record.subdir == subdir]
        _write_repodata(directory / subdir, subdir, chosen)
    return {"packages": len(unique)}


def _make_virtual_package(name: str, text: str) -> GenericVirtualPackage:
    version, _, build = text.partition("=")
    return GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))


async def _fetch_all(directory: Path, records: list[RepoDataRecord], client: Client) -> None:
    events.begin_step("fetching conda packages")
    limit = asyncio.Semaphore(_PARALLEL)

    async def fetch(record: RepoDataRecord) -> None:
        place = directory / record.subdir / record.file_name
        place.parent.mkdir(parents=True, exist_ok=True)
        parts = urlsplit(record.url)
        async with limit:
            if parts.scheme == "file":
                await asyncio.to_thread(shutil.copyfile, unquote(parts.path), place)
            else:
                await download_to_path(client, record.url, place)
        digest = compute_sha256(place)
        if record.sha256 is not None and digest != record.sha256:
            what = f"{record.file_name} is not the file that its channel lists"
            why = f"it has the sha256 {digest.hex()}, expected {record.sha256.hex()}"
            raise CondaProblem("package", what, why)

    await asyncio.gather(*map(fetch, records))


def _write_repodata(directory: Path, subdir: str, records: Sequence[RepoDataRecord]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    packages: dict[str, Any] = {}
    conda_packages: dict[str, Any] = {}
    for record in sorted(records, key=lambda each: each.file_name):
        # Archives of the older kind are listed apart.
        table = packages if record.file_name.endswith(".tar.bz2") else conda_packages
        table[record.file_name] = json.loads(record.to_json())
    repodata = {
        "info": {"subdir": subdir},
        "packages": packages,
        "packages.conda": conda_packages,
        "repodata_version": 1,
    }
    (directory / "repodata.json").write_text(json.dumps(repodata, indent=1) + "\n")
