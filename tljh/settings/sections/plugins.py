"""Settings of plugins."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import Requirement


def _check_section_name(value: str) -> str:
    if not re.match(r"^[A-Za-z][A-Za-z0-9_-]*$", value):
        raise ValueError(f"must be a name like my_plugin, not {value!r}")
    return value


def _check_plugin_name(value: str) -> str:
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]*$", value):
        raise ValueError(f"must be the name of a plugin, like my_plugin, not {value!r}")
    return value


PluginName = Annotated[str, AfterValidator(_check_plugin_name)]
SectionName = Annotated[str, AfterValidator(_check_section_name)]


class PluginsSettings(Section):
    """Plugins, and their sections in this file."""

    packages: list[Requirement] = setting(
        [],
        help="Python packages (pip specifiers) of the plugins, for the hub environment.",
        cost=Cost.REBUILD,
        example="tljh-repo2docker",
    )
    required: list[PluginName] = setting(
        [],
        help="Plugins without which the hub must not run, such as one that decides who may log in.",
        cost=Cost.HUB_RESTART,
        example="mycourse",
    )
    sections: list[SectionName] = setting(
        [],
        help="Sections at the top level of this file that belong to plugins and are not checked.",
        cost=Cost.HUB_RESTART,
        example="my_plugin",
    )
