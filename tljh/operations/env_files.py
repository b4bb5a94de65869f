"""Files of the user environment: written for another machine, and applied here."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.conda import declared_changes
from tljh.conda.declared_changes import ExportedEnvironment, Format
from tljh.conda.package_changes import PackagePlan
from tljh.conda.snapshot_requests import lock_environment
from tljh.host.interface import Host, HostReader
from tljh.operations.installed_environment import PackageSources, require_environment


def export(host: Host, paths: Paths, name: Format) -> ExportedEnvironment:
    """Return the environment as a file. Waits for a command that is changing it."""
    require_environment(host, paths)
    with lock_environment(host, paths):
        return declared_changes.export(host, paths, name)


def plan_file(host: HostReader, paths: Paths, source: str, sources: PackageSources) -> PackagePlan:
    """Return what applying a file would change. Raises TljhError where that is impossible."""
    require_environment(host, paths)
    return declared_changes.plan_file(host, paths, source, sources.channels, sources.required)
