"""The firewall: its state, its confirmation, and another try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.firewall.facts import find_cloud_firewall, find_other_firewall, find_ssh_ports
from tljh.firewall.loaded_rules import CONFIRM_S, confirm, get_files, has_table, is_loaded
from tljh.firewall.resources import list_hub_ports
from tljh.host.interface import Host, HostReader
from tljh.operations.checks import examine_machine
from tljh.operations.converge import Outcome, Request, converge


@dataclass(frozen=True)
class FirewallStatus:
    """`state` is off, on, waiting (for a confirmation), went-back, not-loaded or other."""

    state: str
    ssh_ports: Sequence[int]
    hub_ports: Sequence[str]
    ports: Sequence[str]
    other: str | None = None
    cloud: str | None = None


def read_firewall_status(host: HostReader, paths: Paths) -> FirewallStatus:
    """Return what guards the machine. Raises TljhError if no hub is installed."""
    config = examine_machine(host, paths).config
    if config is None:
        raise TljhError(f"there is no working configuration of a hub at {paths.prefix}")
    files = get_files(paths)
    other = find_other_firewall(host)
    data = host.read(files.rules)
    if other is not None:
        state = "other"
    elif data is None:
        state = "on" if has_table(host) else "off"
    elif is_loaded(host, data.decode()):
        state = "on" if host.read(files.confirmed) == data else "waiting"
    else:
        state = "went-back" if host.read(files.refused) == data else "not-loaded"
    return FirewallStatus(
        state,
        find_ssh_ports(host),
        list_hub_ports(config),
        config.firewall.ports,
        other,
        find_cloud_firewall(host),
    )


def confirm_firewall(host: Host, paths: Paths) -> bool:
    """Keep the loaded rules; return whether they were not confirmed before. Raises TljhError."""
    with host.lock(paths.lock, timeout_s=CONFIRM_S / 2):
        return confirm(host, get_files(paths))


def try_firewall(host: Host, paths: Paths, progress: Progress) -> Outcome:
    """Load rules again that went back. Raises TljhError if that fails."""
    host.remove(get_files(paths).refused)
    return converge(host, paths, Request("firewall try"), progress)
