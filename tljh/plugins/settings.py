"""The settings that plugins come in by."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tljh.hub.settings import Requirement
from tljh.settings import Cost, Section, setting

SectionName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]


class PluginsSettings(Section):
    """Plugins of this installation, and sections of this file that belong to them."""

    packages: list[Requirement] = setting(
        [],
        help="Python packages (pip's specifiers) of the plugins in the hub's environment.",
        cost=Cost.REBUILD,
        example="tljh-repo2docker",
    )
    sections: list[SectionName] = setting(
        [],
        help="Names at the top level of this file that are a plugin's and are not checked.",
        cost=Cost.HUB_RESTART,
        example="my_plugin",
    )
