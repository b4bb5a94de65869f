"""Settings of workers: further machines that Slurm's controller on this machine knows."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

from tljh.settings.declaration import Cost, Section, setting

# Providers of private networks use it like the ranges of RFC 1918; `is_private` leaves it out.
_SHARED = ipaddress.ip_network("100.64.0.0/10")


def _check_private_address(value: str) -> str:
    if not value:
        return value
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise ValueError(
            f"must be an IPv4 address of this machine, like 10.0.0.5, not {value!r}"
        ) from None
    is_private = (address.is_private or address in _SHARED) and not (
        address.is_loopback or address.is_link_local or address.is_unspecified
    )
    if not is_private:
        raise ValueError(
            f"must be an address in a private network, like 10.0.0.5, because what workers and "
            f"controller say is not encrypted: not {value!r}"
        )
    return value


PrivateAddress = Annotated[str, AfterValidator(_check_private_address)]


class WorkersSettings(Section):
    """Slurm's controller on this machine, which knows further machines."""

    enabled: bool = setting(
        False,
        help="Whether Slurm's controller runs on this machine, so that workers can join it.",
        cost=Cost.LIVE,
    )
    address: PrivateAddress = setting(
        "",
        help="This machine's IPv4 address in the private network that it shares with the workers.",
        cost=Cost.LIVE,
        example="10.0.0.5",
    )
