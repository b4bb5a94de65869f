"""Resources of updates: unattended-upgrades, its settings and timers, and the reboot's timer."""

from __future__ import annotations

from collections.abc import Sequence
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
    from tljh.settings.sections.updates import RebootSettings

PACKAGE = "unattended-upgrades"
# Debian's and Ubuntu's own: the first fetches lists, the second installs.
APT_TIMERS = ("apt-daily.timer", "apt-daily-upgrade.timer")
REBOOT_SERVICE, REBOOT_TIMER = "tljh-reboot.service", "tljh-reboot.timer"

_SETTINGS = """\
// Written by tljh from the setting updates.install; edits are overwritten.
APT::Periodic::Update-Package-Lists "1";
APT::Periodic::Unattended-Upgrade "1";
APT::Periodic::AutocleanInterval "7";
// Kernels and libraries that no package needs any more would fill /boot.
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
// updates.reboot decides: it warns users and waits for a quiet moment.
Unattended-Upgrade::Automatic-Reboot "false";
"""
# Debian reads the first list, Ubuntu the second; security's are in both by default.
_ALL = """\
Unattended-Upgrade::Origins-Pattern:: "origin=Debian,codename=${distro_codename}-updates";
Unattended-Upgrade::Allowed-Origins:: "${distro_id}:${distro_codename}-updates";
"""


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return what the settings ask for; with `unchanged` the machine's own settings stay."""
    settings = config.updates
    built = _build_reboot(settings.reboot, paths)
    if settings.install == "unchanged":
        return [*built, Absent(paths.apt_updates)]
    text = _SETTINGS + (_ALL if settings.install == "all" else "")
    return [
        *built,
        AptPackages((PACKAGE,)),
        File(paths.apt_updates, text.encode()),
        *(TriggerUnit(timer) for timer in APT_TIMERS),
    ]


def _build_reboot(settings: RebootSettings, paths: Paths) -> list[Resource]:
    service, timer = paths.units_dir / REBOOT_SERVICE, paths.units_dir / REBOOT_TIMER
    if not settings.automatic:
        return [TriggerUnit(REBOOT_TIMER, is_wanted=False), Absent(timer), Absent(service)]
    files = (
        File(service, render_unit(REBOOT_SERVICE, hub=paths.hub, prefix=paths.prefix)),
        File(timer, render_unit(REBOOT_TIMER, window=settings.window)),
    )
    return [*files, TriggerUnit(REBOOT_TIMER, restart_on=files)]
