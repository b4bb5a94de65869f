"""Settings of isolation: each closes one way out of a server; its help names the cost of false."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from tljh.settings.declaration import Cost, Section, setting

Port = Annotated[int, Ge(1), Le(65535)]


class IsolationSettings(Section):
    """Isolation of users' servers from each other and from the machine."""

    network: bool = setting(
        True,
        help="Whether users cannot reach the ports of other users' kernels and programs; false "
        "also opens Traefik's API and the metadata service to them, and lets a user's program take "
        "the port of another user's server.",
        cost=Cost.NEXT_SPAWN,
    )
    open_ports: list[Port] = setting(
        [],
        help="Ports of this machine that all users may reach, for programs such as a teacher's "
        "database; the first program that listens has the port.",
        cost=Cost.NOTHING,
        example="8786",
    )
    metadata: bool = setting(
        True,
        help="Whether users cannot reach the cloud's metadata service, which gives the machine's "
        "credentials to any caller; DNS at the same address still works.",
        cost=Cost.NOTHING,
    )
    processes: bool = setting(
        True,
        help="Whether users see only their own processes; false shows all command lines to them.",
        cost=Cost.NEXT_SPAWN,
    )
    temporary_files: bool = setting(
        True,
        help="Whether each server has its own /tmp, /var/tmp, /dev/shm and System V memory, which "
        "are removed when it stops; false lets users exchange files there.",
        cost=Cost.NEXT_SPAWN,
    )
    kernel: bool = setting(
        True,
        help="Whether servers cannot use parts of the kernel that notebooks do not need; false "
        "allows kernel modules, raw devices, BPF and unusual sockets.",
        cost=Cost.NEXT_SPAWN,
    )
    namespaces: bool = setting(
        False,
        help="Whether servers cannot create namespaces, the source of most vulnerabilities of the "
        "kernel; true stops apptainer, bubblewrap and the sandbox of a browser.",
        cost=Cost.NEXT_SPAWN,
    )
    gpu_groups: list[str] = setting(
        [],
        help="Groups whose members may use the machine's GPUs; without any, all users may.",
        cost=Cost.NEXT_SPAWN,
        example="vision",
    )
    server_code: bool = setting(
        True,
        help="Whether a server runs only what admins installed and configured, and the user's "
        "packages and configuration are used in kernels and terminals only; false lets users "
        "add server extensions, and reconfigure or break their server.",
        cost=Cost.NEXT_SPAWN,
    )
