"""Resources of the firewall: its rules, the unit that loads them at boot, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import CONTROLLER_PORT
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.firewall.facts import FirewallFacts
from tljh.firewall.loaded_rules import BACK_TIMER, CONFIRM_S, FirewallRules, get_files
from tljh.firewall.rules import MDNS, format_rules
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

SERVICE = "tljh-firewall.service"
BACK_SERVICE = "tljh-firewall-back.service"


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the firewall; nothing of it stays while it is off, or where another one guards."""
    firewall, files = facts.of(FirewallFacts), get_files(paths)
    units = [paths.units_dir / name for name in (SERVICE, BACK_SERVICE, BACK_TIMER)]
    if not config.firewall.enabled or firewall.other is not None:
        state = (files.rules, files.confirmed, files.before, files.refused)
        return [
            FirewallRules("", files),
            Unit(SERVICE, is_wanted=False),
            *(Absent(path) for path in (*units, *state)),
        ]
    script = format_rules(config.firewall, firewall.ssh_ports, list_hub_ports(config))
    boot = File(units[0], render_unit(SERVICE, confirmed=files.confirmed))
    return [
        AptPackages(("nftables",)),
        Directory(files.directory, 0o700),
        File(files.rules, script.encode(), mode=0o600),
        boot,
        File(
            units[1],
            render_unit(
                BACK_SERVICE, before=files.before, rules=files.rules, refused=files.refused
            ),
        ),
        File(units[2], render_unit(BACK_TIMER, seconds=CONFIRM_S)),
        Unit(SERVICE),
        FirewallRules(script, files),
    ]


def list_hub_ports(config: Config) -> list[str]:
    """Return the ports by which users reach the hub, and workers its controller."""
    ports = [str(config.http.port)]
    if config.https.enabled:
        ports.append(str(config.https.port))
    if config.https.effective_mode == "internal":
        # The machine's name in the LAN (NAME.local) is asked for by multicast DNS.
        ports.append(MDNS)
    if config.workers.enabled:
        ports.append(str(CONTROLLER_PORT))
    return ports
