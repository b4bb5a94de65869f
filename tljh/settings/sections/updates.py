"""Settings of updates of the distribution, and of the reboots that they need."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import Seconds


class RebootSettings(Section):
    """Reboots that an update needs."""

    automatic: bool = setting(
        False,
        help="Whether the machine reboots in the window when an update needs it.",
        cost=Cost.LIVE,
    )
    window: str = setting(
        "Sun 04:00",
        help="When a reboot is due, as a calendar expression of systemd.",
        cost=Cost.LIVE,
        example="*-*-* 03:30",
    )
    most_wait_s: Seconds = setting(
        4 * 3600,
        help="How long a reboot that is due waits until no user works; then it is done anyway.",
        cost=Cost.NOTHING,
        example="2h",
        ge=0,
        le=7 * 86400,
    )
    warning_s: Seconds = setting(
        300,
        help="How long before the reboot the hub's pages say so.",
        cost=Cost.NOTHING,
        example="10m",
        ge=0,
        le=86400,
    )


class UpdatesSettings(Section):
    """Updates of Debian's or Ubuntu's packages."""

    install: Literal["unchanged", "security", "all"] = setting(
        "unchanged",
        help="Which updates are installed each night: security's, all of the release, or as the "
        "machine was set up (unchanged).",
        cost=Cost.LIVE,
        example="security",
    )
    reboot: RebootSettings = section(RebootSettings, help="Reboots that an update needs.")
