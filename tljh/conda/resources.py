"""The user environment with files of ours, and conda's own prefix where the channels offer it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.conda.channels import use_mirrors
from tljh.conda.environment import RequiredPackage
from tljh.conda.environment_files import make_environment_files
from tljh.conda.pip_plugin import PipPlugin
from tljh.conda.preset_packages import list_preset_packages
from tljh.conda.resource import BASE, UserEnvironmentPresent, require_singleuser
from tljh.conda.snapshot_requests import SnapshotLimits
from tljh.conda.snapshot_resources import EnvironmentRecorded
from tljh.conda.tools import CondaTools
from tljh.conda.users_configuration import (
    build_conda_configuration,
    build_pip_resource,
    build_root_resources,
)
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.settings.sections.limits import parse_memory

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the user environment, conda's own prefix, and files of ours in the environment."""
    channels = list_channels(config, plugins)
    required = list_required_packages(plugins)
    limits = get_snapshot_limits(config)
    environment = UserEnvironmentPresent(
        paths,
        channels,
        required,
        plugins.user_pip_packages,
        limits=limits,
        presets=list_preset_packages(config),
    )
    tools = CondaTools(paths, channels, build_conda_configuration(channels, config))
    files = make_environment_files(paths)
    plugin = PipPlugin(paths, (environment,))
    changed = (environment, tools, *files, plugin)
    recorded = EnvironmentRecorded(paths, changed, "required packages", limits)
    configuration = (build_pip_resource(paths, config), *build_root_resources(paths, config))
    return [*changed, *configuration, recorded]


def list_channels(config: Config, plugins: Contributions) -> tuple[str, ...]:
    """Return the channels of the user environment; those of plugins come in their place.

    Where a channel has a mirror, it is the mirror's URL.
    """
    settings = config.user_environment
    return use_mirrors(plugins.conda_channels or settings.channels, settings.mirrors)


def list_required_packages(plugins: Contributions) -> tuple[RequiredPackage, ...]:
    """Return the packages that the user environment must have, whatever admins install."""
    return (
        *BASE,
        require_singleuser(),
        *map(RequiredPackage.from_spec, plugins.conda_packages),
    )


def get_snapshot_limits(config: Config) -> SnapshotLimits:
    """Return the limits of snapshots that the configuration sets."""
    settings = config.user_environment.snapshots
    return SnapshotLimits(settings.number, parse_memory(settings.size))
