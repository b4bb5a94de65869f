"""Settings of the hub: its services and its environment."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import Requirement, Seconds

HubMode = Literal["full", "no-pages-at-root", "api-only"]


class CullSettings(Section):
    """Stopping of idle servers."""

    enabled: bool = setting(True, help="Whether idle servers are stopped.", cost=Cost.HUB_RESTART)
    timeout: Seconds = setting(
        3600,
        help="Seconds without activity after which a server is stopped.",
        cost=Cost.HUB_RESTART,
        example="2h",
        ge=1,
        le=31_536_000,
    )
    every: Seconds = setting(
        60,
        help="Seconds between two checks for idle servers.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=86_400,
    )
    concurrency: int = setting(
        5,
        help="Requests that the culler sends to the hub at the same time.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100,
    )
    users: bool = setting(
        False,
        help="Whether idle users are also removed from the hub; their accounts and files stay.",
        cost=Cost.HUB_RESTART,
    )
    max_age: Seconds = setting(
        0,
        help="Seconds after which a server is stopped even if it is in use; 0 for never.",
        cost=Cost.HUB_RESTART,
        ge=0,
        le=31_536_000,
    )
    remove_named_servers: bool = setting(
        False,
        help="Whether a named server is also removed from the hub when it is stopped for idling.",
        cost=Cost.HUB_RESTART,
    )


class ServicesSettings(Section):
    """Services that the hub starts."""

    cull: CullSettings = section(CullSettings, help="Stopping of idle servers.")


class HubSettings(Section):
    """The hub: which addresses it serves, and its environment."""

    mode: HubMode = setting(
        "full",
        help="Which addresses the hub serves: full for all that have no running server; "
        "no-pages-at-root for its own pages below /hub/ only; api-only for its API below /hub/api/ "
        "only, so that users get in by tokens. Other addresses go to proxy.extra_routes.",
        cost=Cost.HUB_RESTART,
        example="api-only",
    )

    packages: list[Requirement] = setting(
        [],
        help="Python packages (pip specifiers) to install in the hub environment, too.",
        cost=Cost.REBUILD,
        example="jupyterhub-ltiauthenticator",
    )
