"""Jupyter's configuration for all users' servers, from config.yaml.

It is in its own directory, which the hub passes to servers as JUPYTER_CONFIG_PATH. Jupyter
lets it win over what the user environment and homes have. In the user environment, a rollback of
that would bring back old settings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource
from tljh.settings.value_changes import compare_json

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.user_environment import JupyterLabSettings

NOTIFICATIONS = "@jupyterlab/apputils-extension:notification"


def build_lab_overrides(settings: JupyterLabSettings) -> dict[str, dict[str, Any]]:
    """Return the defaults of JupyterLab's settings, by plugin."""
    overrides = {plugin: dict(values) for plugin, values in settings.settings.items()}
    if settings.news:
        # A file in the user environment switches the question off.
        notifications = overrides.setdefault(NOTIFICATIONS, {})
        notifications.setdefault("fetchNews", "none")
    return overrides


def build_lab_page(settings: JupyterLabSettings) -> dict[str, dict[str, bool]]:
    """Return the extensions of JupyterLab that are disabled, and those that are not."""
    return {"disabledExtensions": {name: not is_on for name, is_on in settings.extensions.items()}}


def build_jupyter_resources(config: Config, paths: Paths) -> list[Resource]:
    """Return the directories and files that users' servers read as their configuration."""
    settings = config.user_environment
    files = {
        paths.server_extensions: {
            "ServerApp": {"jpserver_extensions": dict(settings.server_extensions)}
        },
        paths.lab_overrides: build_lab_overrides(settings.jupyterlab),
        paths.lab_page: build_lab_page(settings.jupyterlab),
    }
    directories = dict.fromkeys([paths.jupyter, *(path.parent for path in files)])
    return [
        *(Directory(path, 0o755) for path in directories),
        *(
            File(path, json.dumps(data, indent=2).encode() + b"\n", compare=compare_json)
            for path, data in files.items()
        ),
    ]
