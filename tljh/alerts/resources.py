"""The timer that looks for events and sends alerts; only where there is a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.root import Config

SERVICE, TIMER = "tljh-alerts.service", "tljh-alerts.timer"


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the timer and its service; without a channel, nothing of it stays."""
    service, timer = paths.units_dir / SERVICE, paths.units_dir / TIMER
    if not config.alerts.has_channels:
        return [TriggerUnit(TIMER, is_wanted=False), Absent(timer), Absent(service)]
    files = (
        File(service, render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix)),
        File(timer, render_unit(TIMER)),
    )
    return [*files, TriggerUnit(TIMER, restart_on=files)]
