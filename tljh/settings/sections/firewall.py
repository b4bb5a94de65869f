"""Settings of the firewall."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, setting
from tljh.settings.value_types import Network

_PORTS = re.compile(r"^([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/(tcp|udp))?$")


def _check_ports(value: str) -> str:
    match = _PORTS.match(value)
    numbers = [int(number) for number in match.groups()[:2] if number] if match else []
    if not numbers or min(numbers) < 1 or max(numbers) > 65535 or numbers != sorted(numbers):
        raise ValueError(f"must be a port like 8080, 5000-5010 or 53/udp, not {value!r}")
    return value


OpenPorts = Annotated[str, AfterValidator(_check_ports)]


class FirewallSettings(Section):
    """Incoming connections: what is not allowed is dropped."""

    enabled: bool = setting(
        False,
        help="Whether only SSH, the hub's ports and firewall.ports take connections from outside.",
        cost=Cost.LIVE,
    )
    ports: list[OpenPorts] = setting(
        [],
        help="More ports that take connections from outside: 8080, 5000-5010, 53/udp.",
        cost=Cost.LIVE,
        example="8080",
    )
    ssh_from: list[Network] = setting(
        [],
        help="Networks that may reach SSH; empty for all.",
        cost=Cost.LIVE,
        example="192.0.2.0/24",
    )
