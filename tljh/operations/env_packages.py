"""Packages of the user environment: planned, listed and searched; `env_changes` changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.conda import package_changes
from tljh.conda.package_changes import PackagePlan, PackageRequest
from tljh.host.interface import HostReader
from tljh.operations.installed_environment import (
    PackageSources,
    read_sources,
    require_environment,
)

# Of more packages than this, a search reports the best matches.
MAX_SEARCH_RESULTS = 50


def plan_changes(
    host: HostReader, paths: Paths, request: PackageRequest, sources: PackageSources
) -> PackagePlan:
    """Return what a request would change. Raises TljhError where it is impossible."""
    require_environment(host, paths)
    return package_changes.plan_changes(host, paths, request, sources.channels, sources.required)


def list_packages(host: HostReader, paths: Paths) -> list[dict[str, str]]:
    """Return name, version, build and channel of each package; the channel of pip's is `pip`."""
    if host.info(paths.user / "conda-meta") is None:
        require_environment(host, paths)
    return package_changes.list_packages(host, paths)


def search(host: HostReader, paths: Paths, text: str) -> Sequence[dict[str, Any]]:
    """Return the packages of the channels whose name contains a text. Raises for none."""
    channels = read_sources(host, paths).channels
    rows = package_changes.search_packages(host, paths, text, channels, MAX_SEARCH_RESULTS)
    if not rows:
        raise TljhError(
            f"no channel has a package with {text} in its name",
            fix="packages that only PyPI has: sudo tljh env install --pip NAME",
        )
    return rows
