"""The user environment of the installed hub: its limits, and where its packages come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.conda.environment import RequiredPackage
from tljh.conda.named_environments import KERNEL_PACKAGES
from tljh.conda.resources import get_snapshot_limits, list_channels, list_required_packages
from tljh.conda.snapshot_requests import SnapshotLimits
from tljh.host.interface import HostReader
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.plugins.manager import read_contributions


@dataclass(frozen=True)
class PackageSources:
    """The channels of the user environment, and the packages that it must have."""

    channels: tuple[str, ...]
    required: tuple[RequiredPackage, ...]


def read_sources(host: HostReader, paths: Paths) -> PackageSources:
    """Read the channels and required packages of the configuration and the plugins.

    Those of a named environment are what its kernel needs.
    """
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    plugins = read_contributions(host, Path(sys.prefix))
    required = KERNEL_PACKAGES if paths.environment else list_required_packages(plugins)
    return PackageSources(list_channels(config, plugins), required)


def read_limits(host: HostReader, paths: Paths) -> SnapshotLimits:
    """Return the limits of snapshots; the default ones while config.yaml has mistakes."""
    try:
        return get_snapshot_limits(
            load_configuration(host, paths, read_installed_configuration(host, paths))
        )
    except TljhError:
        from tljh.settings.root import Config

        return get_snapshot_limits(Config())


def require_environment(host: HostReader, paths: Paths) -> None:
    """Raise TljhError where there is no hub, or no user environment."""
    read_installed_configuration(host, paths)
    if host.info(paths.user / "conda-meta") is None:
        raise TljhError(
            f"there is no user environment at {paths.user}",
            fix="build it: sudo tljh-config reload; or go back to a snapshot: "
            "sudo tljh env rollback N",
        )
