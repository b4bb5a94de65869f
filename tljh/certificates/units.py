"""The units that keep the certificate current: a renewal timer, and a watch of admins' files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Resource
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import StartingUnit

if TYPE_CHECKING:
    from tljh.settings.sections.https import HttpsSettings

SERVICE = "tljh-cert.service"


TIMER = "tljh-cert.timer"


WATCH = "tljh-cert.path"


def renewal_units(paths: Paths) -> list[Resource]:
    """Return the renewal service and its timer: in every mode, as both cost nothing."""
    service = File(
        paths.units_dir / SERVICE,
        render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix, traefik_dir=paths.traefik_dir),
    )
    timer = File(paths.units_dir / TIMER, render_unit(TIMER))
    # A restart of the timer makes systemd read both files again; it does not run the service.
    return [service, timer, StartingUnit(TIMER, restart_on=(service, timer))]


def watch_units(https: HttpsSettings, paths: Paths) -> list[Resource]:
    """Return what starts a takeover when an admin replaces one of the files of mode `tls`."""
    path = paths.units_dir / WATCH
    if https.effective_mode != "tls":
        return [StartingUnit(WATCH, is_wanted=False), Absent(path)]
    # In a unit file, % begins a specifier.
    names = [name.replace("%", "%%") for name in (https.tls.cert, https.tls.key)]
    file = File(path, render_unit(WATCH, names=names))
    return [file, StartingUnit(WATCH, restart_on=(file,))]
