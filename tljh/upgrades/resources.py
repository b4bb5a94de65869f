"""The timer that looks for newer releases, or installs them in the window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.root import Config

SERVICE = "tljh-upgrade.service"
TIMER = "tljh-upgrade.timer"
# ssh-keygen, which checks the signature of the index of releases.
SIGNATURE_PACKAGE = "openssh-client"


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the timer and its service, unless there is no address or nothing is to be asked."""
    settings = config.upgrade
    service, timer = paths.units_dir / SERVICE, paths.units_dir / TIMER
    packages: list[Resource] = [AptPackages((SIGNATURE_PACKAGE,))] if settings.url else []
    if not settings.url or settings.automatic == "never":
        return [*packages, TriggerUnit(TIMER, is_wanted=False), Absent(timer), Absent(service)]
    is_unattended = settings.automatic != "notify"
    unit_files = (
        File(service, render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix)),
        File(
            timer,
            render_unit(
                TIMER,
                calendar=settings.window if is_unattended else "daily",
                delay_s=900 if is_unattended else 43200,
            ),
        ),
    )
    return [*packages, *unit_files, TriggerUnit(TIMER, restart_on=unit_files)]
