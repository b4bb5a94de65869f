"""Facts about the firewall: sshd's ports, other firewalls, and the rules that are loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.firewall.rules import TABLE
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config

SSHD = Path("/usr/sbin/sshd")
SSH_PROGRAMS = ("sshd", "dropbear", "tinysshd")
USUAL_SSH_PORT = 22

# The makers of virtual machines, as the firmware names them, and what their firewall is called.
CLOUDS = {
    "amazon ec2": "the security group of Amazon EC2",
    "google": "the firewall rules of Google Cloud's network",
    "microsoft corporation": "the network security group of Azure",
    "digitalocean": "DigitalOcean's cloud firewall",
    "hetzner": "Hetzner's cloud firewall",
    "openstack foundation": "the security group of OpenStack",
    "oraclecloud.com": "the security list of Oracle Cloud",
    "vultr": "Vultr's firewall group",
    "akamai": "Linode's cloud firewall",
    "linode": "Linode's cloud firewall",
    "scaleway": "the security group of Scaleway",
    "upcloud": "UpCloud's firewall",
    "alibaba cloud": "the security group of Alibaba Cloud",
    "exoscale": "the security group of Exoscale",
}
_DMI = Path("/sys/class/dmi/id")


@dataclass(frozen=True)
class FirewallFacts:
    """`ssh_ports` as sshd uses them now; `other` is a firewall that guards this machine already."""

    ssh_ports: tuple[int, ...] = (USUAL_SSH_PORT,)
    other: str | None = None


def read(host: HostReader, config: Config, paths: Paths) -> FirewallFacts:
    """Look for other firewalls and for sshd's ports, unless there is no firewall to plan."""
    if not config.firewall.enabled:
        return FirewallFacts()
    return FirewallFacts(find_ssh_ports(host), find_other_firewall(host))


def find_ssh_ports(host: HostReader) -> tuple[int, ...]:
    """Return the ports of SSH: as configured, as systemd listens for it, and as it listens now.

    All of them: a configuration that was edited is in effect after the next restart of sshd.
    """
    ports: set[int] = set()
    if host.info(SSHD, follow=True) is not None:
        ports |= {int(port) for port in re.findall(r"^port (\d+)$", _ask_sshd(host), re.M)}
    if host.unit("ssh.socket").is_active:
        listens = host.query(["systemctl", "show", "ssh.socket", "-P", "Listen"]).out
        ports |= {int(port) for port in re.findall(r":(\d+) \(Stream\)", listens)}
    programs = "|".join(SSH_PROGRAMS)
    for line in host.query(["ss", "-Hltnp"]).out.splitlines():
        if re.search(rf'\(\("(?:{programs})"', line):
            ports |= {int(port) for port in re.findall(r"^\S+\s+\S+\s+\S+\s+\S+:(\d+)\s", line)}
    return tuple(sorted(ports or {USUAL_SSH_PORT}))


def _ask_sshd(host: HostReader) -> str:
    return host.query([str(SSHD), "-T"]).out


def find_other_firewall(host: HostReader) -> str | None:
    """Return the name of an active firewall that is not ours; None without one."""
    if host.unit("firewalld.service").is_active:
        return "firewalld"
    if host.info(Path("/usr/sbin/ufw"), follow=True) is not None:
        status = host.query(["ufw", "status"]).out
        if "Status: active" in status:
            return "ufw"
    return find_foreign_table(host)


def find_foreign_table(host: HostReader) -> str | None:
    """Return the nftables table of another program that drops incoming connections by default."""
    table = ""
    chain = ""
    for line in host.query(["nft", "list", "chains"]).out.splitlines():
        text = line.strip()
        if text.startswith("table "):
            table = text.removeprefix("table ").removesuffix("{").strip()
        elif text.startswith("type "):
            chain = text
            if "hook input" in chain and "policy drop" in chain and table != TABLE:
                return f"the nftables table {table}"
    return None


def find_cloud_firewall(host: HostReader) -> str | None:
    """Return what the firewall in front of this virtual machine is called; None if unknown.

    Its rules are not seen from inside.
    """
    for name in ("sys_vendor", "chassis_asset_tag", "bios_vendor", "product_name"):
        maker = (host.read(_DMI / name) or b"").decode(errors="replace").strip().lower()
        for prefix, firewall in CLOUDS.items():
            if maker.startswith(prefix):
                return firewall
    return None
