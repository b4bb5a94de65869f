"""The nftables rules that keep users' ports apart, as scripts for a table that only tljh uses.

A connection within the machine that a user of the hub opens is marked with that user's id. The
answer is a packet of the listening program. If that program belongs to another user, the answer is
rejected, and there is no connection. So every user can use all of localhost for programs, on any
port and under any address of the machine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

FAMILY = "inet"


TABLE = "tljh"


NAME = f"{FAMILY} {TABLE}"


# Marks that cannot be user ids: of refused connections, and of those that the proxy opened.
REFUSED = "0xffffffff"


OF_PROXY = "0xfffffffe"


# The metadata services of clouds, which give a machine's credentials to any program on it.
METADATA_V4 = ("169.254.0.0/16", "100.100.100.200", "168.63.129.16", "192.0.0.192")


METADATA_V6 = ("fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42")


DNS = 53


@dataclass(frozen=True)
class IsolatedUser:
    """A user id, and the ranges of subordinate ids of that user (first, last)."""

    uid: int
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class ServerPort:
    """The port of a user's server."""

    port: int
    uid: int


def removal_script() -> str:
    """Return a script that removes the table; a missing table is not an error."""
    return f"table {NAME}\ndelete table {NAME}\n"


def table_script(
    *, proxy: str, api_port: int, open_ports: Iterable[int] = (), metadata: bool = True
) -> str:
    """Return a script that replaces the table by one without users, in one transaction.

    `proxy` is the account that Traefik runs as, `api_port` the port of its API.
    """
    opened = ", ".join(str(port) for port in sorted(set(open_ports)))
    within = [
        f"ct direction original ct mark {REFUSED} meta l4proto tcp counter reject with tcp reset",
        f"ct direction original ct mark {REFUSED} counter reject",
        "ct state new ct mark set meta skuid map @people",
        f'ct state new meta skuid "{proxy}" ct mark set {OF_PROXY}',
        f"meta skuid @uids tcp dport {api_port} counter reject with tcp reset",
        # Packets of the kernel itself, such as a reset, have no user.
        "ct direction reply ct mark != 0 meta skuid @uids goto answers",
    ]
    answers = [
        # nft 1.0.2 (Ubuntu 22.04) refuses or misreads ranges of user ids within a pair. So the
        # packet's mark gets the listener's user, and the pair has two marks.
        "meta mark set meta skuid map @people",
        "meta mark . ct mark @own meta mark set 0 accept",
        "meta mark set 0",
        *([f"th sport {{ {opened} }} accept"] if opened else []),
        f"ct mark {OF_PROXY} th sport . meta skuid @servers accept",
        f"ct mark set {REFUSED}",
        "meta l4proto tcp counter reject with tcp reset",
        "counter drop",
    ]
    beyond = [
        f"meta skuid @uids ip{family} daddr @metadata{number} meta l4proto {{ tcp, udp }} "
        f"th dport != {DNS} counter reject"
        for family, number in (("", 4), ("6", 6))
    ]
    return removal_script() + (
        f"table {NAME} {{\n"
        "  map people { type uid : mark; flags interval; }\n"
        "  set uids { type uid; flags interval; }\n"
        "  set own { type mark . mark; }\n"
        "  set servers { type inet_service . uid; }\n"
        f"  set metadata4 {{ type ipv4_addr; flags interval; "
        f"elements = {{ {', '.join(METADATA_V4)} }} }}\n"
        f"  set metadata6 {{ type ipv6_addr; elements = {{ {', '.join(METADATA_V6)} }} }}\n"
        + _chain("answers", answers)
        + _chain("within", within)
        + _chain(
            "output",
            [
                "type filter hook output priority filter; policy accept;",
                *(beyond if metadata else []),
                'oifname "lo" jump within',
            ],
        )
        + "}\n"
    )


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def add_script(users: Collection[IsolatedUser], servers: Collection[ServerPort] = ()) -> str:
    """Return a script that adds users and the ports of their servers to the table's sets.

    Elements that are in the sets already are not an error.
    """
    spans = [
        (str(first) if first == last else f"{first}-{last}", user.uid)
        for user in users
        for first, last in ((user.uid, user.uid), *user.ranges)
    ]
    return (
        _add("people", [f"{span} : {uid}" for span, uid in spans])
        + _add("uids", [span for span, _ in spans])
        + _add("own", [f"{user.uid} . {user.uid}" for user in users])
        + _add("servers", [f"{server.port} . {server.uid}" for server in servers])
    )


def _add(name: str, members: Collection[str]) -> str:
    return f"add element {NAME} {name} {{ {', '.join(members)} }}\n" if members else ""


def forget_script(server: ServerPort) -> str:
    """Return a script that removes the port of a server that has ended."""
    return f"delete element {NAME} servers {{ {server.port} . {server.uid} }}\n"
