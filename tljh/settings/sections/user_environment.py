"""Settings of the user environment."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.sections.limits import DiskAmount
from tljh.settings.value_types import FilePath

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


_HOST_LIST = re.compile(r"^[A-Za-z0-9.:/*_-]+$")


def _check_public_url(value: str) -> str:
    if not re.match(r"^https?://[^\s\"'`{}<>]+$", value):
        raise ValueError(f"must be a URL that begins with https:// or http://, not {value!r}")
    if "@" in value.partition("://")[2].partition("/")[0]:
        raise ValueError(
            "must not contain a user or a password, because users' pip and conda read it too; "
            "they belong into user_environment.credentials_file"
        )
    return value.rstrip("/") if value.count("/") > 3 else value


def _check_proxy(value: str) -> str:
    if not re.match(r"^(https?|socks5h?)://[^\s\"'`{}<>/]+/?$", value):
        raise ValueError(f"must be a URL like http://proxy.example.org:3128, not {value!r}")
    return value.rstrip("/")


def _check_mirrors(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _CHANNEL.match(name):
            raise ValueError(
                f"must map channels, such as conda-forge, to URLs of mirrors, not {name!r}"
            )
    return value


def _check_unproxied(value: str) -> str:
    if not _HOST_LIST.match(value):
        raise ValueError(f"must be a host, a domain like .example.org or a network, not {value!r}")
    return value


PublicUrl = Annotated[str, AfterValidator(_check_public_url)]


class PipSettings(Section):
    """Package indexes of pip, for all users and all commands."""

    index_url: PublicUrl | None = setting(
        None,
        help="The package index of pip and uv, in the place of pypi.org.",
        cost=Cost.NOTHING,
        example="https://mirror.example.org/pypi/simple",
    )
    extra_index_urls: list[PublicUrl] = setting(
        [],
        help="Package indexes in addition to the first one.",
        cost=Cost.NOTHING,
        example="https://packages.example.org/simple",
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
    mirrors: Annotated[dict[str, PublicUrl], AfterValidator(_check_mirrors)] = setting(
        {},
        help="Mirrors of conda channels: the channel's name or URL, and the URL used instead.",
        cost=Cost.NOTHING,
        example="{conda-forge: https://mirror.example.org/conda-forge}",
    )
    pip: PipSettings = section(
        PipSettings, help="Package indexes of pip, for all users and all commands."
    )
    proxy: Annotated[str, AfterValidator(_check_proxy)] | None = setting(
        None,
        help="HTTP proxy through which packages are fetched, and backups and alerts sent.",
        cost=Cost.NOTHING,
        example="http://proxy.example.org:3128",
    )
    no_proxy: list[Annotated[str, AfterValidator(_check_unproxied)]] = setting(
        [],
        help="Hosts, domains and networks that are reached without the proxy.",
        cost=Cost.NOTHING,
        example=".example.org",
    )
    ca_bundle: FilePath | None = setting(
        None,
        help="PEM file with the CAs that are trusted instead of the machine's, also for alerts.",
        cost=Cost.NOTHING,
        example="/etc/ssl/certs/ca-certificates.crt",
    )
    credentials_file: FilePath | None = setting(
        None,
        help="File for root only, in the format of netrc, with logins for channels and indexes.",
        cost=Cost.NOTHING,
        example="/root/packages.netrc",
    )
    snapshots: SnapshotSettings = section(
        SnapshotSettings, help="How many snapshots of the user environment are kept."
    )

    @property
    def default_url(self) -> str:
        return APPS.get(self.default_app, self.default_app)
