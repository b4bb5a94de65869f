"""The names and addresses by which other computers may reach this machine."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable

from tljh.base.errors import TljhError
from tljh.host.interface import HostReader

# `hostname --fqdn` asks DNS servers, which may not answer.
FQDN_TIMEOUT_S = 5


LOOPBACK = ("localhost", "127.0.0.1", "::1")


# Interfaces of containers and virtual machines, which no browser reaches.
_INNER = re.compile(r"(docker|br-|veth|virbr|cni|podman|lxc|lxd|flannel|cali)")


_HOST_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")


def find_machine_names(host: HostReader, configured: Iterable[str]) -> tuple[str, ...]:
    """Return all names for a certificate of this machine: `configured` first, loopback last."""
    outputs = (_read_host_name(host, "hostname"), _read_host_name(host, "hostname", "--fqdn"))
    names = [name for name in outputs if name]
    # By multicast DNS, a machine is known as NAME.local in its LAN.
    names += [f"{name}.local" for name in names[:1] if "." not in name]
    return tuple(dict.fromkeys((*configured, *names, *find_addresses(host), *LOOPBACK)))


def is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _read_host_name(host: HostReader, *argv: str) -> str | None:
    """Return the host name that a command prints; None if it fails.

    Names that mean nothing outside the machine, such as `localhost`, count as none.
    """
    try:
        result = host.query(argv, timeout_s=FQDN_TIMEOUT_S)
    except TljhError:
        return None
    name = result.out.strip().lower()
    if not result.ok or not _HOST_NAME.fullmatch(name) or name.startswith("localhost"):
        return None
    return name


def find_addresses(host: HostReader) -> list[str]:
    """Return the global addresses of this machine, without those that IPv6 changes every day."""
    result = host.query(["ip", "-json", "address", "show", "scope", "global"])
    if not result.ok or not result.out.strip():
        return []
    stable = []
    for interface in json.loads(result.out):
        if _INNER.match(interface.get("ifname", "")):
            continue
        for entry in interface.get("addr_info", ()):
            if entry.get("temporary") or entry.get("deprecated") or "local" not in entry:
                continue
            stable.append(str(ipaddress.ip_address(entry["local"])))
    return stable
