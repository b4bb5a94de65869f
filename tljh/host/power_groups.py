"""Linux groups whose members can become root, or read what only root may read."""

from __future__ import annotations

from collections.abc import Iterable

from tljh.base.errors import TljhError
from tljh.host.accounts import ADMINS_GROUP

# docker, lxd and libvirt start a container or machine that mounts the disk; disk reads it raw.
POWER_GROUPS = frozenset(
    {
        *("root", "sudo", "wheel", "admin", ADMINS_GROUP),
        *("docker", "lxd", "incus", "incus-admin", "libvirt", "kvm", "podman", "containerd"),
        *("disk", "shadow", "kmem", "tape", "staff", "adm", "systemd-journal", "traefik"),
        *("google-sudoers", "sssd", "ssl-cert", "_ssh", "crontab", "mail", "backup"),
    }
)
OPTION = "--gives-root"


def find_power_groups(groups: Iterable[str]) -> list[str]:
    """Return those of `groups` whose members control the machine, such as sudo or docker."""
    return sorted(set(groups) & POWER_GROUPS)


def refuse_power_groups(groups: Iterable[str], *, allowed: bool) -> None:
    """Raise TljhError if a group gives its members root, unless it is `allowed`."""
    powerful = find_power_groups(groups)
    if powerful and not allowed:
        raise TljhError(
            f"members of the group {powerful[0]} can become root",
            why="they can read and change everything on this machine, other users' files too",
            fix=f"leave the group out, or say that it is intended: {OPTION}",
        )
