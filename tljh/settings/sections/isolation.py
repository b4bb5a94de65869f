"""The settings of isolation: each closes one way, and opening it costs what its help says."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Le

from tljh.settings.declaration import Cost, Section, setting

Port = Annotated[int, Ge(1), Le(65535)]


class IsolationSettings(Section):
    """What keeps people's servers from each other and from the machine."""

    network: bool = setting(
        True,
        help="Whether users are kept from the ports of other users' kernels and programs on this "
        "machine; false also opens Traefik's API and the metadata address, and another user's "
        "program may listen on a server's port.",
        cost=Cost.NEXT_SPAWN,
    )
    open_ports: list[Port] = setting(
        [],
        help="Ports at which users may serve each other on this machine, such as a teacher's "
        "database; the first process that listens has the port.",
        cost=Cost.NOTHING,
        example="8786",
    )
    metadata: bool = setting(
        True,
        help="Whether the cloud's metadata service, which gives the machine's credentials to "
        "every caller, is out of reach; its name server stays in reach.",
        cost=Cost.NOTHING,
    )
    processes: bool = setting(
        True,
        help="Whether users see their own processes only; false shows the command lines of all "
        "processes.",
        cost=Cost.NEXT_SPAWN,
    )
    temporary_files: bool = setting(
        True,
        help="Whether each server has its own /tmp, /var/tmp, /dev/shm and System V memory, "
        "which end with it; false lets users exchange files there.",
        cost=Cost.NEXT_SPAWN,
    )
    kernel: bool = setting(
        True,
        help="Whether servers are kept from parts of the kernel that notebooks do not need; "
        "false gives users kernel modules, raw devices, BPF and sockets of rare families.",
        cost=Cost.NEXT_SPAWN,
    )
    namespaces: bool = setting(
        False,
        help="Whether servers are kept from making namespaces, where most vulnerabilities of the "
        "kernel were; true stops apptainer, bubblewrap and the sandboxes of browsers.",
        cost=Cost.NEXT_SPAWN,
    )
    server_code: bool = setting(
        True,
        help="Whether a server runs only what an admin installed and configured, while its "
        "owner's packages and configuration apply to kernels and terminals; false lets users add "
        "server extensions, and break or reconfigure their server.",
        cost=Cost.NEXT_SPAWN,
    )
