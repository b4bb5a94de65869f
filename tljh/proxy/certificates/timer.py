"""The units that keep the certificate fresh."""

from __future__ import annotations

from tljh.paths import Paths
from tljh.resources import File, Resource
from tljh.systemd.resource import Unit
from tljh.systemd.templates import render_unit

SERVICE, TIMER = "tljh-cert.service", "tljh-cert.timer"


def renewal_units(paths: Paths) -> list[Resource]:
    """A timer, and what it runs; always there, as it costs nothing while HTTPS is off."""
    service = File(
        paths.units_dir / SERVICE,
        render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix, traefik_dir=paths.traefik_dir),
    )
    timer = File(paths.units_dir / TIMER, render_unit(TIMER))
    # A restart of the timer has systemd read both files again, and runs nothing.
    return [service, timer, Unit(TIMER, restart_on=frozenset({service.key, timer.key}))]
