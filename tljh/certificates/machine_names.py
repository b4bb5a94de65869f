"""By which names and addresses this machine is reached, as it knows itself."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

# `hostname --fqdn` asks the network, which may not answer.
FQDN_TIMEOUT_S = 5


LOOPBACK = ("localhost", "127.0.0.1", "::1")


# Bridges of containers and virtual machines: nobody comes that way.
_INNER = re.compile(r"(docker|br-|veth|virbr|cni|podman|lxc|lxd|flannel|cali)")


_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def machine_names(host: HostReader, wanted: Iterable[str]) -> tuple[str, ...]:
    """All names for a certificate of this machine: what is configured first, loopback last."""
    own = [one for one in (_said(host, "hostname"), _said(host, "hostname", "--fqdn")) if one]
    own += [f"{one}.local" for one in own[:1] if "." not in one]
    return tuple(dict.fromkeys((*wanted, *own, *addresses(host), *LOOPBACK)))


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _said(host: HostReader, *argv: str) -> str | None:
    try:
        done = host.query(argv, timeout_s=FQDN_TIMEOUT_S)
    except TljhError:
        return None
    name = done.out.strip().lower()
    if not done.ok or not _HOST_NAME.fullmatch(name) or name.startswith("localhost"):
        return None
    return name


def addresses(host: HostReader) -> list[str]:
    """Addresses that others may know this machine by; not those that change every day."""
    shown = host.query(["ip", "-json", "address", "show", "scope", "global"])
    if not shown.ok or not shown.out.strip():
        return []
    found = []
    for interface in json.loads(shown.out):
        if _INNER.match(interface.get("ifname", "")):
            continue
        for entry in interface.get("addr_info", ()):
            if entry.get("temporary") or entry.get("deprecated") or "local" not in entry:
                continue
            found.append(str(ipaddress.ip_address(entry["local"])))
    return found
