"""Files of conda packages as they are when installed, fetched again from their channels."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from rattler import (
    PackageCache,
    PackageCacheLayer,
    PrefixRecord,
    RepoDataRecord,
    ValidationMode,
    install,
)

from tljh.conda.worker.recorded_files import (
    find_python_version,
    read_conda_package,
    read_recorded_hashes,
)
from tljh.conda.worker.solving import make_network_client, verify_local_archives


def find_owners(
    conda_meta: Path, paths: Collection[str], *, with_all: bool = False
) -> list[PrefixRecord]:
    """Return the records of a conda-meta directory that have one of the paths.

    With `with_all`, a path counts whose hash no record has: a link, or a script of an entry point.
    """
    searched = set(paths)
    version = find_python_version(conda_meta.parent) if with_all else None
    owners = []
    for file in sorted(conda_meta.glob("*.json")):
        recorded = set(read_recorded_hashes(file))
        if with_all and (package := read_conda_package(file, version)):
            recorded |= {entry.path for entry in package.files}
        if searched & recorded:
            owners.append(PrefixRecord.from_path(file))
    return owners


async def install_apart(
    owners: Iterable[RepoDataRecord],
    conda_meta: Path,
    prefix: Path,
    scratch: Path,
    cache: Path | None = None,
) -> Path:
    """Install packages as for `prefix`, but to a directory in `scratch`; return that.

    They are fetched, unless the package `cache` has them. The Python of `conda_meta` is taken as
    installed: packages need its version only.
    """
    tree = scratch / "tree"
    (tree / "conda-meta").mkdir(parents=True)
    owners = list(owners)
    installed: list[PrefixRecord] = []
    for file in conda_meta.glob("python-[0-9]*.json"):
        if file.name not in {f"{r.name.normalized}-{r.version}-{r.build}.json" for r in owners}:
            # rattler panics where an installed package has no record in the prefix.
            (tree / "conda-meta" / file.name).write_bytes(file.read_bytes())
            installed.append(PrefixRecord.from_path(file))
    verify_local_archives(owners, [])
    packages = (cache or scratch) / "pkgs"
    layer = PackageCacheLayer(packages).with_validation_mode(ValidationMode.full())
    await install(
        [*owners, *installed],
        tree,
        installed_packages=installed,
        package_cache=PackageCache.from_layers([layer]),
        client=make_network_client(),
        execute_link_scripts=False,
        alternative_target_prefix=prefix,
        show_progress=False,
    )
    return tree
