"""The user environment, and conda's own prefix where the channels offer conda."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.conda.environment import RequiredPackage
from tljh.conda.resource import BASE, UserEnvironmentPresent, singleuser
from tljh.conda.tools import CondaTools
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the user environment, and conda's own prefix where the channels offer conda."""
    channels = plugins.conda_channels or tuple(config.user_environment.channels)
    required = (*BASE, singleuser(), *map(RequiredPackage.from_spec, plugins.conda_packages))
    return [
        UserEnvironmentPresent(paths, channels, required, plugins.user_pip_packages),
        CondaTools(paths, channels),
    ]
