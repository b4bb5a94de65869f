"""The nftables rules that keep users' ports apart, as scripts for a table that only tljh uses.

A connection within the machine that a user of the hub opens is marked with that user's id. The
answer is a packet of the listening program. If that program belongs to another user, the answer is
rejected, and there is no connection. So every user can use all of localhost for programs, on any
port and under any address of the machine.

The table also limits the connections to the proxy from each address outside the machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

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


# Open connections of one user that the kernel tracks. Its table has 65,536 places on a machine with
# 1 GB, more on larger ones; when it is full, no one can connect. `ct count` leaves out connections
# that have ended, which stay in the table for two more minutes: the rate below limits those.
MOST_CONNECTIONS = 8192


# Connections of one user that begin in a second, and at once. An ended one keeps
# its port for a minute: 200 a second are 12,000 ports, less than half of those that there are.
OPENINGS_PER_SECOND = 200
OPENINGS_AT_ONCE = 4000


# Providers give a household or a computer at least this much of IPv6: all of it is one visitor.
HOME_NETWORK = "ffff:ffff:ffff:ffff::"


@dataclass(frozen=True)
class IsolatedUser:
    """A user id, and the ranges of subordinate ids of that user (first, last)."""

    uid: int
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class VisitorLimit:
    """How many connections to the proxy's ports one address may have open.

    The networks of trusted proxies have no limit: each of their connections is another visitor's.
    """

    ports: tuple[int, ...]
    most_connections: int
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerPort:
    """The port of a user's server."""

    port: int
    uid: int


def format_removal() -> str:
    """Return an nft script that removes the table; a missing table is not an error."""
    return f"table {NAME}\ndelete table {NAME}\n"


def format_table(
    *,
    proxy: str,
    api_port: int,
    open_ports: Iterable[int] = (),
    metadata: bool = True,
    isolates_users: bool = True,
    visitors: VisitorLimit | None = None,
) -> str:
    """Return an nft script that replaces the table, in one transaction; it has no users yet.

    `proxy` is the account that Traefik runs as, `api_port` the port of its API. Servers on
    `open_ports` stay reachable for all users; `metadata` closes the cloud's metadata service to
    them.
    """
    return format_removal() + (
        f"table {NAME} {{\n"
        "  map users { type uid : mark; flags interval; }\n"
        "  set uids { type uid; flags interval; }\n"
        "  set own { type mark . mark; }\n"
        "  set servers { type inet_service . uid; }\n"
        "  set connections { type uid; size 65535; flags dynamic; }\n"
        "  set openings { type uid; size 65535; flags dynamic; timeout 1m; }\n"
        f"  set metadata4 {{ type ipv4_addr; flags interval; "
        f"elements = {{ {', '.join(METADATA_V4)} }} }}\n"
        f"  set metadata6 {{ type ipv6_addr; elements = {{ {', '.join(METADATA_V6)} }} }}\n"
        + _format_chain("answers", _list_answer_rules(open_ports))
        + _format_chain("within", _list_rules_within(proxy, api_port))
        + (_format_chain("output", _list_output_rules(metadata)) if isolates_users else "")
        + (_format_visitor_limit(visitors) if visitors else "")
        + "}\n"
    )


def _list_rules_within(proxy: str, api_port: int) -> list[str]:
    return [
        f"ct direction original ct mark {REFUSED} meta l4proto tcp counter reject with tcp reset",
        f"ct direction original ct mark {REFUSED} counter reject",
        "ct state new ct mark set meta skuid map @users",
        f'ct state new meta skuid "{proxy}" ct mark set {OF_PROXY}',
        f"meta skuid @uids tcp dport {api_port} counter reject with tcp reset",
        # Packets of the kernel itself, such as a reset, have no user.
        "ct direction reply ct mark != 0 meta skuid @uids goto answers",
    ]


def _list_answer_rules(open_ports: Iterable[int]) -> list[str]:
    opened = ", ".join(str(port) for port in sorted(set(open_ports)))
    return [
        # nft 1.0.2 (Ubuntu 22.04) refuses or misreads ranges of user ids within a pair. So the
        # packet's mark gets the listener's user, and the pair has two marks.
        "meta mark set meta skuid map @users",
        "meta mark . ct mark @own meta mark set 0 accept",
        "meta mark set 0",
        *([f"th sport {{ {opened} }} accept"] if opened else []),
        f"ct mark {OF_PROXY} th sport . meta skuid @servers accept",
        f"ct mark set {REFUSED}",
        "meta l4proto tcp counter reject with tcp reset",
        "counter drop",
    ]


def _list_output_rules(metadata: bool) -> list[str]:
    beyond = [
        f"meta skuid @uids ip{family} daddr @metadata{number} meta l4proto {{ tcp, udp }} "
        f"th dport != {DNS} counter reject"
        for family, number in (("", 4), ("6", 6))
    ]
    return [
        "type filter hook output priority filter; policy accept;",
        # The rate first: near the limit, `ct count` takes 4 ms for each new connection.
        "ct state new meta skuid @uids update @openings "
        f"{{ meta skuid limit rate over {OPENINGS_PER_SECOND}/second "
        f"burst {OPENINGS_AT_ONCE} packets }} counter reject",
        "ct state new meta skuid @uids add @connections "
        f"{{ meta skuid ct count over {MOST_CONNECTIONS} }} counter reject",
        *(beyond if metadata else []),
        'oifname "lo" jump within',
    ]


def _format_visitor_limit(limit: VisitorLimit) -> str:
    """Return the sets and chains that count the connections of each address.

    A connection too many is dropped, not rejected: browsers try again after a second.
    """
    trusted: list[Any] = [
        ipaddress.ip_network(network, strict=False) for network in limit.trusted_proxies
    ]
    sets, rules = [], []
    for version, key in ((4, "ip saddr"), (6, f"ip6 saddr and {HOME_NETWORK}")):
        address = f"ipv{version}_addr"
        # nftables refuses intervals that overlap.
        networks = [network for network in trusted if network.version == version]
        members = ", ".join(map(str, ipaddress.collapse_addresses(networks)))
        if members:
            sets.append(
                f"  set trusted{version} "
                f"{{ type {address}; flags interval; elements = {{ {members} }} }}\n"
            )
            rules.append(f"{key.split()[0]} saddr @trusted{version} return")
        dynamic = f"{{ type {address}; size 65535; flags dynamic;"
        sets.append(f"  set arrivals{version} {dynamic} timeout 1m; }}\n")
        sets.append(f"  set visitors{version} {dynamic} }}\n")
        rules.append(
            f"update @arrivals{version} {{ {key} limit rate over {OPENINGS_PER_SECOND}/second "
            f"burst {OPENINGS_AT_ONCE} packets }} counter drop"
        )
        most = limit.most_connections
        rules.append(f"add @visitors{version} {{ {key} ct count over {most} }} counter drop")
    ports = ", ".join(str(port) for port in sorted(set(limit.ports)))
    return (
        "".join(sets)
        + _format_chain("visitors", rules)
        + _format_chain(
            "input",
            [
                "type filter hook input priority filter; policy accept;",
                # Users of the machine have their own limit.
                f'iifname != "lo" ct state new tcp dport {{ {ports} }} jump visitors',
            ],
        )
    )


def _format_chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def format_addition(users: Collection[IsolatedUser], servers: Collection[ServerPort] = ()) -> str:
    """Return an nft script that adds users and the ports of their servers to the table.

    Elements that it has already are not an error.
    """
    spans = [
        (str(first) if first == last else f"{first}-{last}", user.uid)
        for user in users
        for first, last in ((user.uid, user.uid), *user.ranges)
    ]
    return (
        _add("users", [f"{span} : {uid}" for span, uid in spans])
        + _add("uids", [span for span, _ in spans])
        + _add("own", [f"{user.uid} . {user.uid}" for user in users])
        + _add("servers", [f"{server.port} . {server.uid}" for server in servers])
    )


def _add(name: str, members: Collection[str]) -> str:
    return f"add element {NAME} {name} {{ {', '.join(members)} }}\n" if members else ""


def format_forgetting(server: ServerPort) -> str:
    """Return an nft script that removes the port of a server that has ended."""
    return f"delete element {NAME} servers {{ {server.port} . {server.uid} }}\n"
