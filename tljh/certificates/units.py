"""The units that keep the certificate current: a renewal timer, and watches.

One watches the admin's own files, the other the addresses of this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Resource
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.sections.https import HttpsSettings

SERVICE = "tljh-cert.service"


TIMER = "tljh-cert.timer"


WATCH = "tljh-cert.path"


ADDRESS_WATCH = "tljh-address.service"


ADDRESS_TIMER = "tljh-address.timer"


def build_renewal_units(paths: Paths) -> list[Resource]:
    """Return the renewal service and its timer, for every HTTPS mode: both cost nothing."""
    service = File(
        paths.units_dir / SERVICE,
        render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix, traefik_dir=paths.traefik_dir),
    )
    timer = File(paths.units_dir / TIMER, render_unit(TIMER))
    # A restart of the timer makes systemd read both files again; it does not run the service.
    return [service, timer, TriggerUnit(TIMER, restart_on=(service, timer))]


def watch_units(https: HttpsSettings, paths: Paths) -> list[Resource]:
    """Return the unit that starts a takeover when an admin replaces a certificate file.

    That is for mode `tls`, where the admin provides both files.
    """
    path = paths.units_dir / WATCH
    if https.effective_mode != "tls":
        return [TriggerUnit(WATCH, is_wanted=False), Absent(path)]
    # In a unit file, % begins a specifier.
    names = [name.replace("%", "%%") for name in (https.tls.cert, https.tls.key)]
    file = File(path, render_unit(WATCH, names=names))
    return [file, TriggerUnit(WATCH, restart_on=(file,))]


def watch_addresses(https: HttpsSettings, paths: Paths) -> list[Resource]:
    """Return what renews the certificate of mode `internal` when the machine's addresses change."""
    watch, timer = paths.units_dir / ADDRESS_WATCH, paths.units_dir / ADDRESS_TIMER
    if https.effective_mode != "internal":
        units = [TriggerUnit(name, is_wanted=False) for name in (ADDRESS_WATCH, ADDRESS_TIMER)]
        return [*units, Absent(watch), Absent(timer)]
    files = (File(timer, render_unit(ADDRESS_TIMER)), File(watch, render_unit(ADDRESS_WATCH)))
    return [*files, TriggerUnit(ADDRESS_WATCH, restart_on=files)]
