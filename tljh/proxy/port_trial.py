"""A trial of new addresses: whether the proxy could listen there, before anything is changed.

A process of the hub environment binds the new addresses and closes them at once. Only the kernel
knows whether an address is free.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tljh.base.errors import Finding, Place
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.host.interface import HostReader
from tljh.proxy.supervisor.sockets import AddressUnavailable, bind, split_address

SETTINGS = {"http": "http", "https": "https", "auth_api": "traefik_api"}


def find_unavailable_addresses(
    host: HostReader,
    hub: Path,
    user: str,
    current: Mapping[str, str],
    planned: Mapping[str, str],
    place_of: Callable[[str, str], Place],
) -> list[Finding]:
    """Return a finding for each new address on which the proxy could not listen.

    `current` and `planned` are addresses by the name of their entry point. `user` is the account
    that the proxy runs as. `place_of` returns the place of a setting, by its section and its key.
    """
    # On a port that the proxy has already, its own sockets would be found.
    own_ports = {split_address(address)[1] for address in current.values()}
    new = {
        name: address
        for name, address in planned.items()
        if split_address(address)[1] not in own_ports
    }
    if not new:
        return []
    program = [str(HubEnvironmentFiles(hub).python), "-I", "-m", "tljh.proxy.port_trial", user]
    result = host.query([*program, *new.values()], timeout_s=30)
    reasons: dict[str, str] = json.loads(result.out) if result.ok and result.out else {}
    return [
        Finding(
            f"the proxy {reasons[address]}",
            where=place_of(SETTINGS[name], "port") if name in SETTINGS else None,
            why=f"it is the address of the entry point {name}; nothing was changed",
            fix="choose a free port, or stop the program that has it: sudo ss -ltnp lists them",
        )
        for name, address in new.items()
        if address in reasons
    ]


def _find_uid(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def main() -> int:
    reasons = {}
    # Bound for the proxy's user: during an install, the progress page listens on the same port as
    # that user, and the kernel lets only sockets of one user share a port.
    user, *addresses = sys.argv[1:]
    owner = _find_uid(user) if os.geteuid() == 0 else None
    for address in addresses:
        try:
            bind(address, owner).close()
        except AddressUnavailable as problem:
            reasons[address] = str(problem)
    json.dump(reasons, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
