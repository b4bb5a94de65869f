"""Whether the proxy could listen where it is told to, tried before anything running is touched.

A process of the hub's environment binds the new addresses for a moment and lets them go: the
kernel alone knows what else is there, and who has it.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tljh.base.errors import Finding, Place
from tljh.host.interface import HostReader
from tljh.proxy.supervisor.sockets import Unavailable, bind, split_address

SETTINGS = {"http": "http", "https": "https", "auth_api": "traefik_api"}


def unavailable_addresses(
    host: HostReader,
    hub: Path,
    user: str,
    now: Mapping[str, str],
    wanted: Mapping[str, str],
    place_of: Callable[[str, str], Place],
) -> list[Finding]:
    """What the proxy cannot listen on, of what it does not listen on already.

    Entry points by name, `now` and as they shall be; `user` is whom the proxy runs as; `place_of`
    tells where a setting stands, by its section and its key.
    """
    ours = {split_address(address)[1] for address in now.values()}
    new = {
        name: address for name, address in wanted.items() if split_address(address)[1] not in ours
    }
    if not new:
        return []
    program = [str(hub / "bin/python"), "-I", "-m", "tljh.proxy.port_trial", user]
    asked = host.query([*program, *new.values()], timeout_s=30)
    reasons: dict[str, str] = json.loads(asked.out) if asked.ok and asked.out else {}
    return [
        Finding(
            f"the proxy {reasons[address]}",
            where=place_of(SETTINGS[name], "port") if name in SETTINGS else None,
            why=f"it is the address of the entry point {name}; nothing was changed",
            fix="choose a port that is free, or stop what has it: sudo ss -ltnp shows who listens",
        )
        for name, address in new.items()
        if address in reasons
    ]


def _uid_of(user: str) -> int | None:
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return None


def main() -> int:
    reasons = {}
    # As the proxy's own: a progress page shares its port with nobody else.
    user, *addresses = sys.argv[1:]
    owner = _uid_of(user) if os.geteuid() == 0 else None
    for address in addresses:
        try:
            bind(address, owner).close()
        except Unavailable as problem:
            reasons[address] = str(problem)
    json.dump(reasons, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
