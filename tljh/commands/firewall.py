"""`tljh firewall`: what guards the machine, and the confirmation of new rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh.base.paths import get_paths
from tljh.commands.parameters import Summary, choose_progress_on_stderr
from tljh.firewall.loaded_rules import CONFIRM_S
from tljh.host.real import RealHost
from tljh.operations import firewall as operations
from tljh.operations.firewall import FirewallStatus

STATES = {
    "off": "off: every port takes connections. On: sudo tljh-config set firewall.enabled true && "
    "sudo tljh-config reload",
    "on": "on",
    "waiting": "on, until it goes back by itself. Keep it: sudo tljh firewall confirm",
    "went-back": "off: the rules were not confirmed in time. Again: sudo tljh firewall try",
    "not-loaded": "not loaded. Load it: sudo tljh-config reload",
}


@dataclass(frozen=True)
class FirewallReport:
    """What guards the machine, and the ports that it lets through."""

    status: FirewallStatus

    def as_text(self) -> str:
        status = self.status
        if status.other is not None:
            lines = [f"firewall: {status.other}, which tljh leaves alone"]
            opened = ", ".join([*map(str, status.ssh_ports), *status.hub_ports])
            lines.append(f"it has to allow: {opened}")
        else:
            lines = [f"firewall: {STATES[status.state]}"]
            lines.append(f"SSH: {', '.join(map(str, status.ssh_ports))}")
            lines.append(f"hub: {', '.join(status.hub_ports)}")
            lines += [f"more: {', '.join(status.ports)}"] if status.ports else []
        if status.cloud is not None:
            lines.append(f"{status.cloud} is not seen from here; it has to allow the same ports")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        return vars(self.status)


def status() -> FirewallReport:
    """Print whether a firewall is on, and which ports it lets through."""
    return FirewallReport(operations.read_firewall_status(RealHost(), get_paths()))


def confirm() -> Summary:
    """Keep new rules: you can still reach the machine. Without it they go back after a minute."""
    was_new = operations.confirm_firewall(RealHost(), get_paths())
    text = "the firewall stays on, also after a reboot" if was_new else "it was confirmed before"
    return Summary((text,), {"confirmed": True})


def try_again(*, as_json: bool = False) -> Summary:
    """Load rules again that were not confirmed in time."""
    operations.try_firewall(RealHost(), get_paths(), choose_progress_on_stderr(as_json))
    text = f"loaded; within {CONFIRM_S} s, in another SSH connection: sudo tljh firewall confirm"
    return Summary((text,), {"seconds": CONFIRM_S})
