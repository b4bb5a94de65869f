"""Settings of the hub: the addresses that it serves, and its environment."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import Requirement

HubMode = Literal["full", "no-pages-at-root", "api-only"]


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
