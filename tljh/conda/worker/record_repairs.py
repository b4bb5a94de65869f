"""Repairs of the records of conda and pip: damaged, missing, or there twice."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rattler import Channel, Gateway, RepoDataRecord, Subdir

from tljh.conda.worker import events
from tljh.conda.worker.package_files import install_apart
from tljh.conda.worker.recorded_files import (
    find_python_version,
    read_conda_package,
    read_pip_record,
)
from tljh.conda.worker.repair_bench import Workbench
from tljh.conda.worker.solving import make_network_client
from tljh.conda.worker.tree_scan import compute_sha256


async def repair_records(bench: Workbench) -> None:
    """Bring back damaged and missing records of conda."""
    for problem in bench.find_problems(("record",)):
        (path,) = problem["paths"]
        if _restore_record(bench, path):
            bench.repaired.append(f"conda's record of {problem['package']} from the snapshots")
        elif await _fetch_record(bench, path):
            bench.repaired.append(f"conda's record of {problem['package']} from its package")


def repair_metadata(bench: Workbench) -> None:
    """Leave one of several records for each package, and remove what pip has left."""
    for problem in bench.find_problems(("metadata", "leftover")):
        _repair_metadata(bench, problem)


def _restore_record(bench: Workbench, path: str) -> bool:
    """Take the newest record that can be read from the snapshots."""
    version = find_python_version(bench.tree)
    for entry in bench.snapshots.find(path):
        is_restored = entry.kind == "f" and bench.restore_content(path, entry.content)
        if is_restored and read_conda_package(bench.tree / path, version):
            return True
    return False


async def _fetch_record(bench: Workbench, path: str) -> bool:
    """Fetch the package of a record again, and take the record that this makes."""
    name, version, build = Path(path).stem.rsplit("-", 2)
    # The damaged record itself would stop rattler.
    (bench.tree / path).unlink(missing_ok=True)
    with TemporaryDirectory(prefix=".fetched-", dir=bench.tree.parent) as scratch:
        try:
            records = await _query(
                bench.request["channels"], f"{name} =={version} {build}", scratch
            )
            conda_meta = bench.tree / "conda-meta"
            tree = await install_apart(records[:1], conda_meta, bench.prefix, Path(scratch))
        except Exception as error:
            events.note(f"the package of {path} cannot be fetched: {error}")
            return False
        if not records or not (tree / path).is_file():
            return False
        bench.put_file(tree / path, path)
    return True


async def _query(channels: Sequence[str], spec: str, scratch: str) -> list[RepoDataRecord]:
    gateway = Gateway(cache_dir=Path(scratch) / "repodata", client=make_network_client())
    sources = [Channel(url) for url in channels]
    platforms = [Subdir.current(), Subdir("noarch")]
    answer = await gateway.query(sources, platforms, [spec], recursive=False)
    return [record for some in answer for record in some]


def _repair_metadata(bench: Workbench, problem: Mapping[str, Any]) -> None:
    paths = list(problem["paths"])
    name = problem["package"]
    if problem["kind"] == "leftover":
        leftovers = [path for path in paths if path.rpartition("/")[2].startswith("~")]
        for path in leftovers:
            _remove(bench.tree / path)
        if leftovers:
            bench.repaired.append(f"removed {', '.join(leftovers)}, which pip had left")
    elif paths[0].endswith(".json"):
        _keep_one_record(bench, name)
    elif len(paths) > 1:
        best = min(paths, key=lambda path: _count_differences(bench.tree, path))
        for path in paths:
            if path != best:
                shutil.rmtree(bench.tree / path)
        bench.repaired.append(f"kept the metadata of {name} that its files have: {best}")
    else:
        names = bench.snapshots.list_names(paths[0])
        absent = [path for path in names if not (bench.tree / path).exists()]
        restored = [path for path in absent if bench.restore_entry(path)]
        if restored:
            bench.repaired.append(f"the metadata of {name} from the snapshots")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _keep_one_record(bench: Workbench, name: str) -> None:
    """Remove records that are misnamed, or of whose files more differ than of another record."""
    version = find_python_version(bench.tree)
    by_differences: list[tuple[int, str]] = []
    for file in sorted((bench.tree / "conda-meta").glob("*.json")):
        package = read_conda_package(file, version)
        if package is None or package.name != name:
            continue
        is_misnamed = file.stem != package.identity
        hashes = {item.path: item.sha256 for item in package.files}
        count = _count_different(bench.tree, hashes)
        by_differences.append((2 * count + is_misnamed, package.record))
        proper = bench.tree / "conda-meta" / f"{package.identity}.json"
        if is_misnamed and not proper.exists():
            file.rename(proper)
            bench.repaired.append(f"conda's record of {name} has its name again")
            return
    by_differences.sort()
    for _, record in by_differences[1:]:
        (bench.tree / record).unlink()
        bench.repaired.append(f"removed {record}: the files are those of another record")


def _count_differences(tree: Path, dist_info: str) -> int:
    files = read_pip_record(tree, dist_info)
    if files is None:
        return 1 << 30
    return _count_different(tree, {file.path: file.sha256 for file in files})


def _count_different(tree: Path, hashes: Mapping[str, str]) -> int:
    count = 0
    for path, content in hashes.items():
        file = tree / path
        if path.endswith(".pyc"):
            continue
        if not file.exists() or (content and file.is_file() and compute_sha256(file) != content):
            count += 1
    return count
