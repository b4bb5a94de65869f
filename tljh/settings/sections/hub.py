"""The settings of the hub: who may log in, how, and what idles."""

from __future__ import annotations

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import Requirement


class CullSettings(Section):
    """Stopping of idle servers."""

    enabled: bool = setting(True, help="Whether idle servers are stopped.", cost=Cost.HUB_RESTART)
    timeout: int = setting(
        3600,
        help="Seconds without activity after which a server is stopped.",
        cost=Cost.HUB_RESTART,
        example="7200",
        ge=1,
        le=31_536_000,
    )
    every: int = setting(
        60,
        help="Seconds between two checks for idle servers.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=86_400,
    )
    concurrency: int = setting(
        5,
        help="How many requests to the hub the culler makes at the same time.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=100,
    )
    users: bool = setting(
        False,
        help="Whether idle users are removed from the hub too; their accounts and files stay.",
        cost=Cost.HUB_RESTART,
    )
    max_age: int = setting(
        0,
        help="Seconds after which a server is stopped even if it is in use; 0 for never.",
        cost=Cost.HUB_RESTART,
        ge=0,
        le=31_536_000,
    )
    remove_named_servers: bool = setting(
        False,
        help="Whether a named server that is stopped because it was idle is removed, too.",
        cost=Cost.HUB_RESTART,
    )


class ServicesSettings(Section):
    """Services that the hub runs in addition."""

    cull: CullSettings = section(CullSettings, help="Stopping of idle servers.")


class HubSettings(Section):
    """The hub environment."""

    packages: list[Requirement] = setting(
        [],
        help="Python packages (pip's specifiers) that the hub environment has in addition to its "
        "own.",
        cost=Cost.REBUILD,
        example="jupyterhub-ltiauthenticator",
    )
