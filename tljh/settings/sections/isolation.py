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
        help="Whether nobody reaches the ports of another's kernels and programs on this machine; "
        "false also opens Traefik's API and the metadata address, and what listens on a port of "
        "somebody's server need not be that server.",
        cost=Cost.NEXT_SPAWN,
    )
    open_ports: list[Port] = setting(
        [],
        help="Ports at which people may serve each other on this machine, such as a teacher's "
        "database; whoever is first there has them.",
        cost=Cost.NOTHING,
        example="8786",
    )
    metadata: bool = setting(
        True,
        help="Whether the cloud's metadata service is out of reach, which hands the machine's "
        "credentials to who asks; names are resolved there all the same.",
        cost=Cost.NOTHING,
    )
    processes: bool = setting(
        True,
        help="Whether people see their own processes only; false shows command lines of all.",
        cost=Cost.NEXT_SPAWN,
    )
    temporary_files: bool = setting(
        True,
        help="Whether each server has its own /tmp, /var/tmp, /dev/shm and System V memory, which "
        "end with it; false lets people exchange files there.",
        cost=Cost.NEXT_SPAWN,
    )
    kernel: bool = setting(
        True,
        help="Whether servers are kept from parts of the kernel that notebooks have no use for; "
        "false for kernel modules, raw devices, BPF or exotic sockets in the hands of people.",
        cost=Cost.NEXT_SPAWN,
    )
    namespaces: bool = setting(
        False,
        help="Whether servers are kept from making namespaces, where most holes of the kernel "
        "were; true stops apptainer, bubblewrap and the sandbox of a browser.",
        cost=Cost.NEXT_SPAWN,
    )
    server_code: bool = setting(
        True,
        help="Whether a server runs what the administrator installed and configured, and its "
        "owner's packages and configuration count in kernels and terminals only; false lets "
        "people add server extensions of their own, and break or reconfigure their server.",
        cost=Cost.NEXT_SPAWN,
    )
