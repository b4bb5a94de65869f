"""Settings of the user environment."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.limits import DiskAmount

APPS = {"jupyterlab": "/lab", "classic": "/tree", "notebook": "/tree"}


_CHANNEL = re.compile(r"^((https?|file)://[^\s\"'`{}<>]+|/[^\s\"'`{}<>]+|[A-Za-z0-9._/-]+)$")


def _check_default_app(value: str) -> str:
    if value not in APPS and not value.startswith("/"):
        raise ValueError(
            f"must be jupyterlab, classic, notebook, or a path that begins with /, not {value!r}"
        )
    if re.search(r"[\s\"'`<>\\]", value):
        raise ValueError(f"has a character that is not allowed in this path: {value!r}")
    return value


def _check_channel(value: str) -> str:
    if not _CHANNEL.match(value):
        raise ValueError(
            f"must be a conda channel: a name like conda-forge, a URL or a path, not {value!r}"
        )
    return value


DefaultApp = Annotated[str, AfterValidator(_check_default_app)]


Channel = Annotated[str, AfterValidator(_check_channel)]

_PLUGIN = re.compile(r"^(@[a-z0-9._~-]+/)?[a-zA-Z0-9._~-]+:[^\s\"'`<>\\/]+$")

_EXTENSION = re.compile(r"^(@[a-z0-9._~-]+/)?[a-zA-Z0-9._~-]+(:[^\s\"'`<>\\/]+)?$")

_MODULE = re.compile(r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$")

# The server extension that serves the page of each app: without it, no page opens after login.
SERVED_BY = {"/lab": "jupyterlab", "/tree": "notebook"}


def _check_plugins(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _PLUGIN.match(name):
            raise ValueError(
                "must name plugins as JupyterLab's settings editor does, such as "
                f"@jupyterlab/apputils-extension:themes, not {name!r}"
            )
    return value


def _check_extensions(value: dict[str, bool]) -> dict[str, bool]:
    for name in value:
        if not _EXTENSION.match(name):
            raise ValueError(
                "must name extensions or plugins of JupyterLab, such as @jupyterlab/git or "
                f"@jupyterlab/filebrowser-extension:download, not {name!r}"
            )
    return value


def _check_modules(value: dict[str, bool]) -> dict[str, bool]:
    for name in value:
        if not _MODULE.match(name):
            raise ValueError(
                f"must name Python modules of server extensions, such as nbgitpuller, not {name!r}"
            )
    return value


class JupyterLabSettings(Section):
    """JupyterLab for all users."""

    settings: Annotated[dict[str, dict[str, Any]], AfterValidator(_check_plugins)] = setting(
        {},
        help="Defaults of JupyterLab's settings, by plugin; users may change them for themselves.",
        cost=Cost.NEXT_SPAWN,
        example='{"@jupyterlab/apputils-extension:themes": {theme: JupyterLab Dark}}',
    )
    extensions: Annotated[dict[str, bool], AfterValidator(_check_extensions)] = setting(
        {},
        help="Extensions and plugins of JupyterLab that are on (true) or off (false) for all.",
        cost=Cost.NEXT_SPAWN,
        example='{"@jupyterlab/filebrowser-extension:download": false}',
    )
    news: bool = setting(
        False,
        help="Whether JupyterLab asks users if it may show news from the internet.",
        cost=Cost.NEXT_SPAWN,
        example="true",
    )


class SnapshotSettings(Section):
    """How many snapshots of the user environment are kept."""

    number: int = setting(
        10,
        help="Snapshots that are kept; the first one and those with a name are never removed.",
        cost=Cost.NOTHING,
        example="20",
        ge=2,
        le=1000,
    )
    size: DiskAmount = setting(
        "10G",
        help="Disk space of all snapshots, above which the oldest ones are removed.",
        cost=Cost.NOTHING,
        example="20G",
    )


class UserEnvironmentSettings(Section):
    """The environment in which users' servers and kernels run."""

    default_app: DefaultApp = setting(
        "jupyterlab",
        help="Page that opens after login: jupyterlab, classic, notebook, or a path like /rstudio.",
        cost=Cost.NEXT_SPAWN,
        example="classic",
    )
    jupyterlab: JupyterLabSettings = section(JupyterLabSettings, help="JupyterLab for all users.")
    server_extensions: Annotated[dict[str, bool], AfterValidator(_check_modules)] = setting(
        {},
        help="Extensions of users' servers that are on (true) or off (false) for all.",
        cost=Cost.NEXT_SPAWN,
        example="{nbgitpuller: false}",
    )
    channels: list[Channel] = setting(
        ["conda-forge"],
        help="Conda channels of the user environment; the first one has priority.",
        cost=Cost.NOTHING,
        example="conda-forge",
        min_length=1,
    )
    snapshots: SnapshotSettings = section(
        SnapshotSettings, help="How many snapshots of the user environment are kept."
    )

    @property
    def default_url(self) -> str:
        return APPS.get(self.default_app, self.default_app)
