"""The units that keep the certificate fresh."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import StartingUnit

SERVICE, TIMER = "tljh-cert.service", "tljh-cert.timer"


def renewal_units(paths: Paths) -> list[Resource]:
    """A timer, and what it runs; always there, as it costs nothing while HTTPS is off."""
    service = File(
        paths.units_dir / SERVICE,
        render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix, traefik_dir=paths.traefik_dir),
    )
    timer = File(paths.units_dir / TIMER, render_unit(TIMER))
    # A restart of the timer has systemd read both files again, and runs nothing.
    return [service, timer, StartingUnit(TIMER, restart_on=(service, timer))]
