"""The sandbox of a user's server: properties of its unit, and the command that starts it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tljh.base.paths import Paths
from tljh.settings.sections.isolation import IsolationSettings

# Separate mounts: their files count as the server's memory, and are removed when the server ends.
# The machine's /run/lock has 5 MB for all.
_OWN_FILE_SYSTEMS = (
    "/dev/shm:rw,nosuid,nodev,mode=1777 /run/lock:rw,nosuid,nodev,noexec,mode=1777,size=5M"
)


# Jupyter needs less to end its kernels, and JupyterHub stops waiting after 10 s.
STOP_TIMEOUT_S = 15


# System calls that notebooks never need. @mount and @keyring stay allowed, as rootless containers
# use them. io_uring holds open files that are in no list of open files.
_SYSTEM_CALLS = (
    "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap bpf userfaultfd "
    "io_uring_setup io_uring_enter io_uring_register"
)


# Device nodes of NVIDIA's, AMD's and Intel's drivers, which every user may open by default. systemd
# takes no patterns here.
_GPUS = (
    *(f"/dev/nvidia{number}" for number in range(16)),
    *("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"),
    *("/dev/nvidia-caps", "/dev/dri", "/dev/kfd", "/dev/dxg"),
)


def build_gpu_properties(gpu_groups: Collection[str], groups: Collection[str]) -> dict[str, str]:
    """Return the properties that keep a member of `groups` from the GPUs, if the user may not.

    The nodes are hidden. A driver makes some only when it is first used, after the server has
    started; so the kernel also refuses devices other than pseudo-devices, terminals and FUSE.
    """
    if not gpu_groups or not set(gpu_groups).isdisjoint(groups):
        return {}
    return {
        "InaccessiblePaths": " ".join(f"-{path}" for path in _GPUS),
        "DevicePolicy": "closed",
        "DeviceAllow": "/dev/fuse rw",
    }


def build_unit_properties(
    closed: Mapping[str, bool], *, is_admin: bool, prefix: Path
) -> dict[str, str]:
    """Return the systemd properties that restrict a server; `closed` is section `isolation`.

    An admin uses sudo in the server's terminal, and then needs all system calls, capabilities and
    writable paths of root. So an admin's server has none of the properties that restrict these.
    """
    # A fork bomb starts new processes faster than SIGTERM ends them. SIGKILL, which follows after
    # this time, ends all at once.
    properties = {"TimeoutStopSec": f"{STOP_TIMEOUT_S}"}
    if closed.get("processes"):
        properties["ProtectProc"] = "invisible"
    if closed.get("temporary_files"):
        properties |= {"PrivateIPC": "yes", "TemporaryFileSystem": _OWN_FILE_SYSTEMS}
    if is_admin:
        return properties
    # Each of the following makes systemd set NoNewPrivileges for a user who is not root.
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


def build_spawner_traits(settings: IsolationSettings, paths: Paths) -> dict[str, dict[str, Any]]:
    """Return the traits of the spawner for section `isolation`."""
    program = f"{paths.user}/bin/jupyterhub-singleuser"
    return {
        "Spawner": {
            # With -s, Python ignores the packages in the owner's home, which otherwise come before
            # all others. Kernels and terminals start without it.
            "cmd": [f"{paths.user}/bin/python", "-s", str(paths.launcher)]
            if settings.server_code
            else [program]
        },
        "SystemdSpawner": {"isolate_tmp": settings.temporary_files},
        "UserCreatingSpawner": {
            "isolation": settings.model_dump(exclude={"open_ports", "metadata", "gpu_groups"}),
            "gpu_groups": list(settings.gpu_groups),
        },
    }
