"""Settings of housekeeping on the disk."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.sections.limits import Memory


class HousekeepingSettings(Section):
    """Room on the disk: logs and caches."""

    journal: Memory = setting(
        None,
        help="Room for the logs of the machine, as 1G; null for systemd's own limit, a tenth of "
        "the disk and at most 4G.",
        cost=Cost.LIVE,
        example="1G",
    )
    clean: Literal["daily", "weekly", "never"] = setting(
        "weekly",
        help="How often caches of packages and downloads are pruned; by hand: tljh disk --clean.",
        cost=Cost.LIVE,
        example="daily",
    )
    history: int = setting(
        31,
        help="How many days of the machine's use are kept for tljh report, with names of users; "
        "0 keeps nothing.",
        cost=Cost.LIVE,
        example="92",
        ge=0,
        le=92,
    )
