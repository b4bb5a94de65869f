"""Repairs of an environment: files, records, owners and modes as the packages' records have them.

The content comes from the snapshots, whose store finds it by its hash; else a package is fetched
again, from the package cache or its channel. All is done in a copy, which is exchanged at the end.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tljh.conda.worker import events, pip_changes, trees
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.examination import Expected, collect_expected
from tljh.conda.worker.package_files import find_owners, install_apart
from tljh.conda.worker.pip_requirements import list_pip_requirements
from tljh.conda.worker.record_problems import read_records
from tljh.conda.worker.record_repairs import repair_metadata, repair_records
from tljh.conda.worker.repair_bench import Snapshots, Workbench
from tljh.conda.worker.snapshot_store import SnapshotStore
from tljh.conda.worker.transaction import compile_modules, relocate_scripts
from tljh.conda.worker.tree_scan import compute_sha256

FILES = ("missing", "changed")

MODES = ("owner", "writable", "unreadable", "mode")


async def repair(request: Mapping[str, Any]) -> dict[str, Any]:
    """Repair what can be repaired, and exchange the environment with the result.

    Return a sentence for each repair. Raises CondaProblem where none was possible.
    """
    prefix, other = Path(request["prefix"]), Path(request["other"])
    events.begin_step("copying the environment")
    trees.remove_tree(other)
    trees.copy_tree(prefix, other)
    store = SnapshotStore(Path(request["versions"]))
    bench = Workbench(other, prefix, Snapshots(store), request)
    events.begin_step("repairing records and files")
    # Records first: without them, nobody knows what else is missing.
    await repair_records(bench)
    await _repair_files(bench)
    # Of two sets of metadata, the one stays that has the files.
    repair_metadata(bench)
    _repair_modes(bench)
    if not bench.repaired:
        trees.remove_tree(other)
        why = "neither a snapshot nor a channel has what is missing"
        raise CondaProblem("unrepaired", "nothing could be repaired", why)
    compile_modules(prefix, other)
    events.begin_step("exchanging the environments")
    trees.flush(other)
    trees.commit(prefix, other)
    return {"repaired": bench.repaired}


# Files


async def _repair_files(bench: Workbench) -> None:
    """Bring back missing and changed files: from the snapshots, from packages, from the index."""
    problems = bench.find_problems(FILES)
    expected, _ = collect_expected(bench.tree, read_records(bench.tree))
    for problem in problems:
        paths = list(problem["paths"])
        rest = [path for path in paths if not _restore(bench, path, expected[path])]
        owner = f"{problem['source']}'s {problem['package']}"
        _note(bench, owner, len(paths) - len(rest), "the snapshots")
        if not rest:
            continue
        try:
            if problem["source"] == "conda":
                await _fetch(bench, rest, expected)
            else:
                _reinstall(bench, problem["package"])
        except Exception as error:
            events.note(f"{owner} cannot be fetched again: {error}")
            continue
        _note(bench, owner, len(rest), "its package")


def _note(bench: Workbench, owner: str, count: int, source: str) -> None:
    if count:
        noun = "file" if count == 1 else "files"
        bench.repaired.append(f"{count} {noun} of {owner} from {source}")


def _restore(bench: Workbench, path: str, expected: Expected) -> bool:
    hashes = expected.hashes - {""}
    if hashes:
        return any(bench.restore_content(path, content) for content in sorted(hashes))
    return bench.restore_entry(path)


async def _fetch(bench: Workbench, paths: Iterable[str], expected: Mapping[str, Expected]) -> None:
    """Take files from the packages that have them, which are fetched again."""
    some = list(paths)
    owners = find_owners(bench.tree / "conda-meta", some, with_all=True)
    cache = bench.request["cache"]
    with TemporaryDirectory(prefix=".fetched-", dir=bench.tree.parent) as scratch:
        tree = await install_apart(
            owners,
            bench.tree / "conda-meta",
            bench.prefix,
            Path(scratch),
            Path(cache) if cache else None,
        )
        for path in some:
            source, hashes = tree / path, expected[path].hashes
            is_link = source.is_symlink()
            if not is_link and not source.is_file():
                raise CondaProblem("package", f"the package has no {path}")
            if not is_link and "" not in hashes and compute_sha256(source) not in hashes:
                raise CondaProblem("package", f"{path} of the package is another file")
            bench.put_file(source, path)


def _reinstall(bench: Workbench, name: str) -> None:
    """Install a distribution of pip again, in the same version, from where it came."""
    (item,) = list_pip_requirements(bench.tree, [name])
    uv = bench.request["uv"]
    pip_changes.install(bench.tree, uv, [item.text], [], ["--quiet", "--no-deps", "--reinstall"])
    relocate_scripts(bench.tree, bench.prefix)


# Owners and modes


def _repair_modes(bench: Workbench) -> None:
    """Give files to root, close them to users' writes and open them to users' reads.

    A file is copied for that, because it may be a hard link into the environment in use.
    """
    paths = {path for problem in bench.find_problems(MODES) for path in problem["paths"]}
    for path in sorted(paths, key=len):
        target = bench.tree / path
        info = target.lstat()
        if stat.S_ISDIR(info.st_mode):
            bench.own(target)
            target.chmod(bench.find_mode(path, target))
        elif stat.S_ISLNK(info.st_mode):
            bench.own(target)
        elif stat.S_ISREG(info.st_mode):
            new = target.with_name(f".{target.name}.repaired")
            shutil.copy2(target, new)
            bench.own(new)
            new.chmod(bench.find_mode(path, new))
            new.replace(target)
    if paths:
        noun = "1 path" if len(paths) == 1 else f"{len(paths)} paths"
        bench.repaired.append(f"owner and mode of {noun}")
