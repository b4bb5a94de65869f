"""The firewall's rules, as a script for an nftables table that only tljh uses."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Sequence

from tljh.settings.sections.firewall import FirewallSettings

TABLE = "inet tljh_firewall"
# An empty chain whose name says which rules are loaded.
MARK = "digest_"

REMOVAL = f"table {TABLE} {{}}\ndelete table {TABLE}\n"

# What a machine needs to have an address and to be reached at all: errors and neighbours of IPv6,
# pings, and answers of DHCP servers, which the kernel does not take for answers. A machine without
# the package netbase knows no protocols by name: 1 is ICMP, 58 that of IPv6.
_BASE = """\
    iif lo accept
    ct state established,related accept
    ct state invalid drop
    meta l4proto { 1, 58 } accept
    udp sport 67 udp dport 68 accept
    ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept
"""
MDNS = "5353/udp"


def format_rules(
    settings: FirewallSettings, ssh_ports: Iterable[int], hub_ports: Iterable[str]
) -> str:
    """Return the script that replaces the table by these rules, in one transaction."""
    lines = [_format_ssh(sorted(set(ssh_ports)), settings.ssh_from)]
    opened = sorted({*hub_ports, *settings.ports})
    for protocol in ("tcp", "udp"):
        ports = [_parse(port)[0] for port in opened if _parse(port)[1] == protocol]
        if ports:
            lines.append(f"    {protocol} dport {{ {', '.join(_merge(ports))} }} accept\n")
    rules = _BASE + "".join(lines)
    mark = MARK + hashlib.sha256(rules.encode()).hexdigest()[:16]
    return (
        f"{REMOVAL}table {TABLE} {{\n  chain {mark} {{}}\n  chain incoming {{\n"
        f"    type filter hook input priority filter; policy drop;\n{rules}  }}\n}}\n"
    )


def find_mark(script: str) -> str | None:
    """Return the name of the chain by which loaded rules are recognized."""
    for word in script.split():
        if word.startswith(MARK):
            return word
    return None


def _format_ssh(ports: Sequence[int], networks: Sequence[str]) -> str:
    target = f"tcp dport {{ {', '.join(map(str, ports))} }} accept\n"
    if not networks:
        return f"    {target}"
    lines = []
    for version, family in ((4, "ip"), (6, "ip6")):
        own = [each for each in networks if ipaddress.ip_network(each).version == version]
        merged = ipaddress.collapse_addresses(ipaddress.ip_network(each) for each in own)  # type: ignore[type-var]
        names = ", ".join(map(str, merged))
        lines += [f"    {family} saddr {{ {names} }} {target}"] if names else []
    return "".join(lines)


def _parse(port: str) -> tuple[tuple[int, int], str]:
    numbers, _, protocol = port.partition("/")
    first, _, last = numbers.partition("-")
    return (int(first), int(last or first)), protocol or "tcp"


def _merge(ranges: list[tuple[int, int]]) -> list[str]:
    """Return ranges as nftables takes them; it refuses those that overlap."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return [str(first) if first == last else f"{first}-{last}" for first, last in merged]


def find_open_ports(script: str) -> set[int]:
    """Return the TCP ports that a script of ours accepts connections to."""
    ports: set[int] = set()
    for accepted in re.findall(r"tcp dport \{ ([^}]*) \} accept", script):
        for item in accepted.split(", "):
            first, last = _parse(item)[0]
            ports |= set(range(first, last + 1))
    return ports
