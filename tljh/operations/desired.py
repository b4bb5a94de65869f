"""Compute the list of resources that a machine is asked to have, from configuration and facts.

Pure: the same input gives the same list, and this module has no access to the machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.operations.installation import build_installation_resources
from tljh.operations.parts import PARTS
from tljh.plugins.manager import Contributions

if TYPE_CHECKING:
    from tljh.settings.root import Config


def build_desired(
    config: Config,
    facts: Facts,
    paths: Paths,
    plugins: Contributions,
    *,
    writes_configuration: bool = False,
) -> list[Resource]:
    """Return the resources of the installation and of every part, in the order to apply them."""
    resources = build_installation_resources(
        facts, paths, plugins, writes_configuration=writes_configuration
    )
    for part in PARTS:
        resources += part.resources(config, facts, paths, plugins)
    return sort_resources(resources)


def sort_resources(resources: Iterable[Resource]) -> list[Resource]:
    """Sort by stage; within a stage the order stays."""
    return sorted(resources, key=lambda resource: resource.stage)
