"""The firewall's rules: what they let through, and that nftables takes them."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.firewall.rules import find_mark, find_open_ports, format_rules
from tljh.settings.sections.firewall import FirewallSettings


def rules(ssh: tuple[int, ...] = (22,), hub: tuple[str, ...] = ("80",), **settings: object) -> str:
    return format_rules(FirewallSettings.model_validate(settings), ssh, hub)


def test_ssh_the_hub_and_what_an_admin_adds_are_let_through_and_the_rest_is_dropped():
    script = rules((22, 2222), ("80", "443", "5353/udp"), ports=["5000-5010", "53/udp"])
    assert "policy drop" in script
    assert "tcp dport { 22, 2222 } accept" in script
    assert "tcp dport { 80, 443, 5000-5010 } accept" in script
    assert "udp dport { 53, 5353 } accept" in script
    assert find_open_ports(script) == {22, 2222, 80, 443, *range(5000, 5011)}


def test_ssh_is_let_through_from_given_networks_only():
    script = rules(ssh_from=["192.0.2.0/25", "192.0.2.128/25", "2001:db8::/32"])
    assert "    ip saddr { 192.0.2.0/24 } tcp dport { 22 } accept\n" in script
    assert "    ip6 saddr { 2001:db8::/32 } tcp dport { 22 } accept\n" in script
    assert "\n    tcp dport { 22 } accept" not in script


def test_other_rules_have_another_mark():
    assert find_mark(rules()) == find_mark(rules())
    assert find_mark(rules()) != find_mark(rules(ports=["8080"]))


PORT = st.integers(1, 65535)
RANGE = st.tuples(PORT, PORT).map(lambda pair: f"{min(pair)}-{max(pair)}")


@given(st.lists(PORT.map(str) | RANGE | PORT.map(lambda port: f"{port}/udp"), max_size=12))
def test_ports_that_overlap_are_merged(ports):
    script = rules(ports=ports)
    items = [
        tuple(int(each) for each in item.split("-"))
        for line in script.splitlines()
        if "tcp dport" in line and " 22 " not in line
        for item in line.partition("{ ")[2].partition(" }")[0].split(", ")
    ]
    spans = [(item[0], item[-1]) for item in items]
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("ports", ["0", "70000", "10-5", "80/sctp", "http", "", "80,443", "-1"])
def test_a_port_that_is_none_is_refused(ports):
    with pytest.raises(ValueError, match="must be a port"):
        FirewallSettings.model_validate({"ports": [ports]})


@pytest.mark.skipif(shutil.which("nft") is None, reason="nft is not installed")
def test_nftables_takes_the_rules():
    script = rules((22, 2222), ("80", "443", "5353/udp"), ports=["81", "53/udp"], ssh_from=["::/0"])
    checked = subprocess.run(
        ["unshare", "-rn", "nft", "-c", "-f", "-"], input=script, text=True, capture_output=True
    )
    if "unshare" in checked.stderr or "Operation not permitted" in checked.stderr:
        pytest.skip("no network namespaces here")
    assert checked.returncode == 0, checked.stderr
