"""Linux groups whose members can become root, or read what only root may read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from tljh.base.errors import TljhError
from tljh.host.accounts import ADMINS_GROUP
from tljh.host.interface import HostReader

_SUDO = "sudo lets its members run every command as root"
_CONTAINERS = "its members start containers that mount the whole disk as root"
_MACHINES = "its members start machines that have any disk or file of this one"
_DISK = "its members read and write the disk itself, past all permissions"
_MEMORY = "its members read the memory of all processes"
_PASSWORDS = "its members read the hashes of all passwords"
_LOGS = "its members read all logs of the machine, with what others type and what services print"
_KEYS = "its members read private keys of this machine"
_SERVICE = "its members read or change files of a service of the whole machine"
_PROGRAMS = "its members change files that root runs"
_NETWORK = "its members read the network traffic of all users"

# Each group with the reason.
POWER_GROUPS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("sudo", "wheel", "admin", ADMINS_GROUP, "google-sudoers"), _SUDO),
        "root": "its members read and change files of root",
        **dict.fromkeys(("docker", "podman", "containerd", "buildkit", "nerdctl"), _CONTAINERS),
        **dict.fromkeys(("lxd", "lxc", "incus", "incus-admin", "microk8s", "k3s"), _CONTAINERS),
        **dict.fromkeys(("crio", "docker-users", "dockerroot", "snap_microk8s"), _CONTAINERS),
        **dict.fromkeys(("libvirt", "libvirtd", "libvirt-qemu", "kvm", "qemu"), _MACHINES),
        **dict.fromkeys(("vboxusers", "multipass", "xen"), _MACHINES),
        **dict.fromkeys(("disk", "tape", "backup", "zfs", "ceph"), _DISK),
        "kmem": _MEMORY,
        **dict.fromkeys(("shadow", "sssd"), _PASSWORDS),
        **dict.fromkeys(("adm", "systemd-journal", "syslog"), _LOGS),
        **dict.fromkeys(("ssl-cert", "traefik", "ssh_keys", "_ssh", "ssh"), _KEYS),
        **dict.fromkeys(("crontab", "mail", "lpadmin", "polkitd", "postgres", "mysql"), _SERVICE),
        **dict.fromkeys(("munge", "slurm", "messagebus", "systemd-network"), _SERVICE),
        **dict.fromkeys(("staff", "src", "bin", "sys", "daemon", "operator"), _PROGRAMS),
        **dict.fromkeys(("wireshark", "pcap"), _NETWORK),
        "input": "its members read what is typed at the machine",
    }
)
OPTION = "--gives-root"

# A rule of sudo for a group: `%NAME HOSTS = COMMANDS`.
_SUDO_RULE = re.compile(r"^\s*%([\w-]+)\s+[^=#]+=", re.MULTILINE)
SUDOERS = Path("/etc/sudoers")


def read_power_groups(host: HostReader) -> dict[str, str]:
    """Return the groups that give root on this machine with the reason, also by sudo's rules."""
    files = [SUDOERS, *(SUDOERS.with_suffix(".d") / name for name in _list_rules(host))]
    texts = ((path, (host.read(path) or b"").decode(errors="replace")) for path in files)
    of_sudo = {
        name: f"{path} lets its members run commands by sudo"
        for path, text in texts
        for name in _SUDO_RULE.findall(text)
    }
    return {**of_sudo, **POWER_GROUPS}


def _list_rules(host: HostReader) -> list[str]:
    """Return the names of sudo's own files; it ignores names with a dot or a tilde."""
    return [
        name for name in host.listdir(SUDOERS.with_suffix(".d")) if not re.search(r"\.|~$", name)
    ]


def find_power_groups(groups: Iterable[str], powers: Iterable[str] = POWER_GROUPS) -> list[str]:
    """Return those of `groups` whose members control the machine, such as sudo or docker.

    `powers` are what `read_power_groups` found, where a machine is there to ask.
    """
    return sorted(set(groups) & set(powers))


def refuse_power_groups(host: HostReader, groups: Iterable[str], *, allowed: bool) -> None:
    """Raise TljhError if a group gives its members root, unless it is `allowed`."""
    powers = read_power_groups(host)
    powerful = find_power_groups(groups, powers)
    if powerful and not allowed:
        raise TljhError(
            f"members of the group {powerful[0]} can become root",
            why=f"{powers[powerful[0]]}; so they can read and change other users' files too",
            fix=f"leave the group out, or say that it is intended: {OPTION}",
        )


def read_memberships(host: HostReader) -> dict[str, tuple[str, ...]]:
    """Return the groups that give root of each account of this machine that has one."""
    memberships: dict[str, tuple[str, ...]] = {}
    for name in sorted(read_power_groups(host)):
        group = host.group(name)
        for account in group.members if group else ():
            memberships[account] = (*memberships.get(account, ()), name)
    return memberships
