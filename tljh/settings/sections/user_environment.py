"""Settings of the user environment."""

from __future__ import annotations

import re
from typing import Annotated

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
