"""Items of the checklist that guard the machine: address, SSH, firewall, updates, clock."""

from __future__ import annotations

from pathlib import Path

from tljh.certificates.machine_names import find_addresses, is_address
from tljh.operations.admin_keys import CLOSE_PASSWORDS, read_ssh_access
from tljh.operations.checklist_item import Measured, Subject
from tljh.operations.firewall import read_firewall_status
from tljh.updates.checks import find_switch


def measure_address(subject: Subject) -> Measured:
    """Measure whether the hub's names lead to this machine."""
    names = [name for name in subject.config.https.names if not is_address(name)]
    names = [name for name in names if not name.startswith("*.")]
    if not names:
        return Measured(
            None,
            "no host name is configured, so there is nothing to compare",
            "reserve the address at your provider, and name it: https.domains",
        )
    own = set(find_addresses(subject.host))
    elsewhere = [name for name in names if not own & set(subject.host.addresses_of(name))]
    if elsewhere:
        return Measured(
            None if _is_private(own) else False,
            f"{', '.join(elsewhere)} leads elsewhere than to {', '.join(sorted(own))}",
            "behind NAT or a proxy that is right: waive it; else correct the name's DNS record",
        )
    return Measured(True, f"{', '.join(names)} leads here")


def _is_private(addresses: set[str]) -> bool:
    import ipaddress

    return all(ipaddress.ip_address(address).is_private for address in addresses)


def measure_ssh(subject: Subject) -> Measured:
    """Measure whether an admin gets in by key, and nobody by password."""
    access = read_ssh_access(subject.host)
    if not access.has_server:
        return Measured(None, "no SSH server is installed; is there a console?")
    if not access.with_key:
        return Measured(
            False,
            "no account that may become root gets in by a key",
            "from your computer: ssh YOUR-MACHINE sudo tljh admin ssh-key add NAME "
            "< ~/.ssh/id_ed25519.pub",
        )
    names = ", ".join(access.with_key)
    if access.accepts_passwords is None:
        return Measured(None, f"{names} by key; whether passwords are accepted could not be asked")
    if access.accepts_passwords:
        return Measured(False, f"{names} by key, but passwords are accepted, too", CLOSE_PASSWORDS)
    return Measured(True, f"{names}, by key only")


def measure_firewall(subject: Subject) -> Measured:
    """Measure whether incoming connections are restricted."""
    firewall = read_firewall_status(subject.host, subject.paths)
    if firewall.state == "other":
        return Measured(True, str(firewall.other))
    if firewall.state == "on":
        return Measured(True, "a table of nftables drops what is not allowed")
    if firewall.state == "waiting":
        return Measured(False, "it waits to be confirmed", "sudo tljh firewall confirm")
    fix = (
        "sudo tljh-config set firewall.enabled true && sudo tljh-config reload, then from another "
        "SSH connection: sudo tljh firewall confirm"
    )
    if firewall.state in ("went-back", "not-loaded"):
        fix = "sudo tljh firewall try, then from another SSH connection: sudo tljh firewall confirm"
    cloud = f"; {firewall.cloud} is not seen from here: waive it if it is set up"
    return Measured(
        False,
        "this machine accepts connections to every port that a program opens"
        + (cloud if firewall.cloud else ""),
        fix,
    )


def measure_updates(subject: Subject) -> Measured:
    """Measure whether security updates are installed by themselves."""
    reason = find_switch(subject.host)
    if reason is not None:
        fix = "sudo tljh-config set updates.install security && sudo tljh-config reload"
        return Measured(False, reason, fix)
    return Measured(True, "by unattended-upgrades")


def measure_reboot(subject: Subject) -> Measured:
    """Measure whether an update waits for a reboot."""
    if subject.host.info(Path("/run/reboot-required")) is None:
        return Measured(True, "no update waits for one")
    return Measured(
        False, "an update waits for a reboot", "at a quiet moment: sudo tljh updates reboot"
    )


def measure_clock(subject: Subject) -> Measured:
    """Measure whether the clock is set by the network."""
    answer = subject.host.query(["timedatectl", "show", "-P", "NTPSynchronized"]).out.strip()
    if answer not in ("yes", "no"):
        return Measured(None, "whether the clock is set could not be asked")
    fix = "sudo apt-get install systemd-timesyncd && sudo timedatectl set-ntp true"
    return Measured(answer == "yes", f"synchronized: {answer}", fix)
