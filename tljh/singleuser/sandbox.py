"""What a user's server may do: properties of its unit, and how its program is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tljh.base.paths import Paths
from tljh.settings.sections.isolation import IsolationSettings

# A mount of its own: what lies in it counts as the server's memory, and ends with it.
_OWN_SHARED_MEMORY = "/dev/shm:rw,nosuid,nodev,mode=1777"


# Jupyter ends its kernels in less, JupyterHub gives up on waiting after 10.
STOP_TIMEOUT_S = 15


# What notebooks never do. Without @mount and @keyring: containers that need no root use them.
_SYSTEM_CALLS = "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap bpf userfaultfd"


def unit_properties(closed: Mapping[str, bool], *, is_admin: bool, prefix: Path) -> dict[str, str]:
    """Properties of a server's unit, given the settings that are on by their names.

    An administrator becomes root by sudo in the own terminal, which takes the same system calls,
    capabilities and writable paths as root elsewhere; what would take them away is left out.
    """
    # A fork bomb outruns the signal that asks it to end; the one that ends all at once it doesn't.
    properties = {"TimeoutStopSec": f"{STOP_TIMEOUT_S}"}
    if closed.get("processes"):
        properties["ProtectProc"] = "invisible"
    if closed.get("temporary_files"):
        properties |= {"PrivateIPC": "yes", "TemporaryFileSystem": _OWN_SHARED_MEMORY}
    if is_admin:
        return properties
    # systemd keeps each of these for somebody without new privileges.
    properties["ReadOnlyPaths"] = f"-{prefix}"
    if closed.get("kernel"):
        properties |= {
            "CapabilityBoundingSet": "",
            "ProtectClock": "yes",
            "ProtectControlGroups": "yes",
            "ProtectHostname": "yes",
            "ProtectKernelLogs": "yes",
            "ProtectKernelModules": "yes",
            "ProtectKernelTunables": "yes",
            "RestrictAddressFamilies": "AF_UNIX AF_INET AF_INET6 AF_NETLINK",
            "RestrictRealtime": "yes",
            "SystemCallErrorNumber": "EPERM",
            "SystemCallFilter": _SYSTEM_CALLS,
        }
    if closed.get("namespaces"):
        properties["RestrictNamespaces"] = "yes"
    return properties


def traits(settings: IsolationSettings, paths: Paths) -> dict[str, dict[str, Any]]:
    """Traits of the spawner."""
    program = f"{paths.user}/bin/jupyterhub-singleuser"
    return {
        "Spawner": {
            # -s: without the packages of the owner's home, which come before all others. Kernels
            # and terminals are called without it.
            "cmd": [f"{paths.user}/bin/python", "-s", str(launcher(paths))]
            if settings.server_code
            else [program]
        },
        "SystemdSpawner": {"isolate_tmp": settings.temporary_files},
        "UserCreatingSpawner": {
            "isolation": settings.model_dump(exclude={"open_ports", "metadata"})
        },
    }


def launcher(paths: Paths) -> Path:
    """Where the program lies that starts a server without its owner's configuration."""
    return paths.prefix / "singleuser.py"
