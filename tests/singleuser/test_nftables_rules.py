"""The rules as text; what the kernel makes of them is tested in a machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tljh.singleuser.nftables_rules import (
    IsolatedUser,
    ServerPort,
    format_addition,
    format_forgetting,
    format_removal,
    format_table,
)

RULES = format_table(proxy="traefik", api_port=8099)


def test_the_table_is_replaced_in_one_script_and_no_other_is_named():
    assert RULES.startswith(format_removal())
    tables = {line.split(" {")[0] for line in RULES.splitlines() if "table" in line}
    assert tables == {"table inet tljh", "delete table inet tljh"}


def test_what_nobody_sent_is_never_refused():
    """Accept a reset of the kernel, which has no user."""
    (jump,) = [line for line in RULES.splitlines() if "goto answers" in line]
    assert "meta skuid @uids" in jump


def test_ports_that_are_open_are_named_once_and_only_then():
    assert "th sport {" not in RULES
    opened = format_table(proxy="traefik", api_port=8099, open_ports=[9, 8786, 9])
    assert "th sport { 9, 8786 } accept" in opened


def test_names_are_resolved_at_the_metadata_service():
    assert "@metadata4 meta l4proto { tcp, udp } th dport != 53" in RULES
    assert "th dport" not in format_table(proxy="traefik", api_port=8099, metadata=False)


def test_a_person_owns_the_subordinate_user_ids_too():
    script = format_addition([IsolatedUser(1001, ((100000, 165535),))], [ServerPort(4711, 1001)])
    assert "users { 1001 : 1001, 100000-165535 : 1001 }" in script
    # Not as a pair with a range: nft 1.0.2 can't have that.
    assert "own { 1001 . 1001 }" in script
    assert "servers { 4711 . 1001 }" in script


def test_nobody_there_is_no_script_at_all():
    assert format_addition([]) == ""


def test_a_server_that_is_gone_is_forgotten_by_port_and_owner():
    assert (
        format_forgetting(ServerPort(4711, 1001))
        == "delete element inet tljh servers { 4711 . 1001 }\n"
    )


@given(st.lists(st.integers(1, 2**32 - 3), unique=True, min_size=1, max_size=20))
def test_every_person_is_in_every_set(uids):
    script = format_addition([IsolatedUser(uid) for uid in uids])
    for name in ("users", "uids", "own"):
        (line,) = [line for line in script.splitlines() if f" {name} {{" in line]
        assert line.count(",") == len(uids) - 1
