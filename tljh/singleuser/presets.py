"""What presets switch on and off in users' servers, for all users and for members of groups.

A package switches its extensions on for all users. Here they are off for all users, and on
again in the directory of a group, which comes first in the JUPYTER_CONFIG_PATH of its members.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tljh.base.paths import Paths

if TYPE_CHECKING:
    from tljh.settings.root import Config

# nbgrader's list of courses asks a formgrader of the hub, which there is none of here.
_OFF = ("nbgrader.server_extensions.course_list",)
_LAB_OFF = ("@jupyter/nbgrader:course-list",)
_OF_INSTRUCTORS = ("nbgrader.server_extensions.formgrader",)
_LAB_OF_INSTRUCTORS = ("@jupyter/nbgrader:create-assignment", "@jupyter/nbgrader:formgrader")

_OF_COLLABORATION = ("jupyter_server_ydoc", "jupyter_server_fileid")
_LAB_OF_COLLABORATION = ("@jupyter/collaboration-extension", "@jupyter/docprovider-extension")


@dataclass(frozen=True)
class ExtensionSwitches:
    """Extensions that are on or off: Python modules of servers, and extensions of JupyterLab.

    With `has_frames`, an extension of JupyterLab shows pages of its server in a frame.
    """

    server: Mapping[str, bool] = field(default_factory=dict)
    lab: Mapping[str, bool] = field(default_factory=dict)
    has_frames: bool = False


def build_switches(config: Config) -> ExtensionSwitches:
    """Return the switches for all users; those of the admin come first."""
    server: dict[str, bool] = {}
    lab: dict[str, bool] = {}
    if config.presets.nbgrader.courses:
        server |= dict.fromkeys((*_OFF, *_OF_INSTRUCTORS), False)
        lab |= dict.fromkeys((*_LAB_OFF, *_LAB_OF_INSTRUCTORS), False)
    if config.presets.collaboration.groups:
        server |= dict.fromkeys(_OF_COLLABORATION, False)
        lab |= dict.fromkeys(_LAB_OF_COLLABORATION, False)
    settings = config.user_environment
    return ExtensionSwitches(
        {**server, **settings.server_extensions}, {**lab, **settings.jupyterlab.extensions}
    )


def build_group_switches(config: Config) -> dict[str, ExtensionSwitches]:
    """Return the switches for members of groups; what the admin set for all stays."""
    instructors = set(config.presets.course_folders.values())
    collaborators = set(config.presets.collaboration.groups)
    return {
        group: _switch_on(
            config,
            (
                *(_OF_INSTRUCTORS if group in instructors else ()),
                *(_OF_COLLABORATION if group in collaborators else ()),
            ),
            (
                *(_LAB_OF_INSTRUCTORS if group in instructors else ()),
                *(_LAB_OF_COLLABORATION if group in collaborators else ()),
            ),
            has_frames=group in instructors,
        )
        for group in sorted(instructors | collaborators)
    }


def _switch_on(
    config: Config, server: Iterable[str], lab: Iterable[str], *, has_frames: bool
) -> ExtensionSwitches:
    settings = config.user_environment
    return ExtensionSwitches(
        {name: True for name in server if name not in settings.server_extensions},
        {name: True for name in lab if name not in settings.jupyterlab.extensions},
        has_frames=has_frames,
    )


def get_group_directory(paths: Paths, group: str) -> Path:
    """Return the directory with the configuration of servers of a group's members."""
    return paths.group_configurations / quote(group, safe="")


def format_config_path(paths: Paths, groups: Iterable[str], others: str) -> str:
    """Return JUPYTER_CONFIG_PATH for the server of a member of these groups."""
    directories = (get_group_directory(paths, group) for group in sorted(groups))
    return ":".join([*map(str, directories), *filter(None, [others])])


def build_nbgrader_settings(courses: Iterable[str]) -> dict[str, Any]:
    """Return what nbgrader's configuration (`inside/nbgrader_config.py`) reads."""
    return {
        "courses": sorted(courses),
        "exchange": str(Paths.exchange),
        "folders": str(Paths.shared_folders),
    }
