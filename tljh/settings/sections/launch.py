"""Settings of `launch`: temporary users, which an application starts servers for."""

from __future__ import annotations

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import Seconds

LONGEST_S = 31 * 86_400


class LaunchSettings(Section):
    """Temporary users, made by an application through the API; removed after their session."""

    enabled: bool = setting(
        False,
        help="Whether the service account launcher may make temporary users through the API. "
        "tljh launch token prints its token.",
        cost=Cost.HUB_RESTART,
    )
    idle: Seconds = setting(
        1800,
        help="Seconds without activity after which a temporary user is removed, with the files.",
        cost=Cost.HUB_RESTART,
        example="10m",
        ge=1,
        le=LONGEST_S,
    )
    longest: Seconds = setting(
        14_400,
        help="Seconds after which a temporary user is removed even if the server is in use.",
        cost=Cost.HUB_RESTART,
        example="2h",
        ge=1,
        le=LONGEST_S,
    )
    unused: Seconds = setting(
        300,
        help="Seconds after which a temporary user is removed who has no server yet.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=LONGEST_S,
    )
    most: int = setting(
        100,
        help="Temporary users at the same time; more get status 429.",
        cost=Cost.HUB_RESTART,
        ge=1,
        le=10_000,
    )
    token_in_url: bool = setting(
        False,
        help="Whether servers of temporary users accept a token in their address, by which an "
        "application hands them to a browser.",
        cost=Cost.HUB_RESTART,
        example="true",
    )
