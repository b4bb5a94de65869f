"""Jupyter's configuration for all users' servers, from config.yaml.

It is in its own directory, which the hub passes to servers as JUPYTER_CONFIG_PATH. Jupyter
lets it win over what the user environment and homes have. In the user environment, a rollback of
that would bring back old settings.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.settings.value_changes import compare_json
from tljh.singleuser.presets import (
    ExtensionSwitches,
    build_group_switches,
    build_nbgrader_settings,
    build_switches,
    get_group_directory,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.user_environment import JupyterLabSettings

NOTIFICATIONS = "@jupyterlab/apputils-extension:notification"

# By default JupyterHub allows no frames, also of the server's own pages.
_OWN_FRAMES: dict[str, Any] = {
    "ServerApp": {
        "tornado_settings": {"headers": {"Content-Security-Policy": "frame-ancestors 'self'"}}
    }
}

# Below the directory of a group.
_SERVER, _PAGE = Path("jupyter_server_config.d/tljh.json"), Path("labconfig/page_config.json")
_OPTIONS = Path("jupyter_server_config.json")
_OF_GROUP = (_SERVER, _PAGE, _OPTIONS)


def build_lab_overrides(settings: JupyterLabSettings) -> dict[str, dict[str, Any]]:
    """Return the defaults of JupyterLab's settings, by plugin."""
    overrides = {plugin: dict(values) for plugin, values in settings.settings.items()}
    if settings.news:
        # A file in the user environment switches the question off.
        notifications = overrides.setdefault(NOTIFICATIONS, {})
        notifications.setdefault("fetchNews", "none")
    return overrides


def build_jupyter_resources(config: Config, paths: Paths, groups: Sequence[str]) -> list[Resource]:
    """Return the directories and files that users' servers read as their configuration.

    `groups` are the names of directories of groups that there are; those of groups that no preset
    names any more are emptied.
    """
    switches = build_switches(config)
    contents: dict[Path, dict[str, Any]] = {
        paths.server_extensions: _build_server(switches),
        paths.lab_overrides: build_lab_overrides(config.user_environment.jupyterlab),
        paths.lab_page: _build_page(switches),
    }
    for group, its_switches in build_group_switches(config).items():
        directory = get_group_directory(paths, group)
        contents[directory / _SERVER] = _build_server(its_switches)
        contents[directory / _PAGE] = _build_page(its_switches)
        if its_switches.has_frames:
            contents[directory / _OPTIONS] = _OWN_FRAMES
    courses = config.presets.nbgrader.courses
    if courses:
        contents[paths.nbgrader_courses] = build_nbgrader_settings(courses)
    directories = dict.fromkeys([paths.jupyter, *_list_parents(contents, paths.jupyter)])
    stale = (paths.group_configurations / name / file for name in groups for file in _OF_GROUP)
    nbgrader = paths.nbgrader_configuration
    return [
        *(Directory(path, 0o755) for path in directories),
        *(
            File(path, json.dumps(data, indent=2).encode() + b"\n", compare=compare_json)
            for path, data in contents.items()
        ),
        *(Absent(path) for path in stale if path not in contents),
        *(
            (File(nbgrader, files("tljh.singleuser.inside").joinpath(nbgrader.name).read_bytes()),)
            if courses
            else (Absent(nbgrader), Absent(paths.nbgrader_courses))
        ),
    ]


def _build_server(switches: ExtensionSwitches) -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": dict(switches.server)}}


def _build_page(switches: ExtensionSwitches) -> dict[str, Any]:
    """Return the extensions of JupyterLab that are disabled, and those that are not."""
    return {"disabledExtensions": {name: not is_on for name, is_on in switches.lab.items()}}


def _list_parents(paths: Iterable[Path], root: Path) -> Iterator[Path]:
    """Yield the directories of files below `root`, each after the one that it is in."""
    for path in paths:
        yield from reversed([parent for parent in path.parents if root in parent.parents])
