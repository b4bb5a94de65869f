"""Mapping of login names to accounts: property tests with names of any kind."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tljh.base.account_names import is_acceptable, make_account_name, make_unit_name
from tljh.host.accounts import find_running_units
from tljh.host.fake import FakeHost
from tljh.host.interface import UnitInfo

logins = st.text(min_size=1, max_size=60).filter(is_acceptable)


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ("bob", "jupyter-bob"),
        ("a@b.org", "jupyter-a@b.org"),
        ("12345", "jupyter-12345"),
        ("x" * 17, "jupyter-" + "x" * 17),
        # The sha256 of the whole name, prefix included, begins with these five digits.
        ("x" * 18, "jupyter-" + "x" * 18 + "-" + "08411"),
    ],
)
def test_names_that_worked_under_tljh_keep_their_accounts(login, account):
    assert make_account_name(login) == account


@pytest.mark.parametrize(
    "login",
    ["", "..", "a..b", "`id`", "{x}", "a;id", "a\nb", "a/b", "-rf", "a'b", 'a"b', " a", "a ", "\0"],
)
def test_names_with_a_meaning_in_a_shell_or_a_path_are_refused(login):
    assert not is_acceptable(login)
    with pytest.raises(ValueError, match="cannot have an account"):
        make_account_name(login)


@given(logins)
def test_every_account_name_is_valid_on_linux(login):
    account = make_account_name(login)
    assert re.fullmatch(r"jupyter-[a-z0-9._@+-]+", account)
    assert len(account) <= 32


@given(logins, logins)
def test_two_login_names_never_share_an_account(login, other):
    assert login == other or make_account_name(login) != make_account_name(other)


@given(logins)
def test_an_account_name_used_as_a_login_name_has_another_account(login):
    literal = make_account_name(login).removeprefix("jupyter-")
    if literal != login and is_acceptable(literal):
        assert make_account_name(literal) != make_account_name(login)


@given(logins, st.sampled_from(["", "lab-2"]))
def test_a_unit_name_ends_in_service_and_has_no_special_characters(login, server):
    name = make_unit_name(make_account_name(login), server)
    assert name.endswith(".service")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)


def test_a_unit_name_of_an_address_has_neither_backslash_nor_at_sign():
    assert make_unit_name(make_account_name("a@b.org")) == "jupyter-aX40b.org.service"
    assert make_unit_name(make_account_name("a+b"), "lab") == "jupyter-aX2bb--lab.service"


# Short and full of separators, so that the search finds names that could be confused.
dashed = st.text("ab-", min_size=1, max_size=6).filter(is_acceptable)
servers = st.one_of(st.just(""), st.text("ab-X", max_size=6), st.text(max_size=20))
pairs = st.tuples(st.one_of(dashed, logins), servers)


@given(pairs, pairs)
@example(("a--b", ""), ("a", "b"))
@example(("a-", "b"), ("a", "-b"))
@example(("a---b", ""), ("a-", "b"))
def test_two_servers_never_share_a_unit(pair, other):
    units = [make_unit_name(make_account_name(login), server) for login, server in (pair, other)]
    assert pair == other or units[0] != units[1]


@given(dashed, dashed, st.text("ab-", max_size=6))
def test_no_unit_is_taken_for_that_of_another_user(login, other, server):
    account, unit = make_account_name(login), make_unit_name(make_account_name(other), server)
    host = FakeHost()
    host.unit_states[unit] = UnitInfo(unit, active="active")
    assert find_running_units(host, account) == ([unit] if login == other else [])


def test_units_of_ordinary_names_are_named_like_their_accounts():
    for login in ("alice", "a-b", "a.b_c", "x" * 30):
        assert make_unit_name(make_account_name(login)) == f"{make_account_name(login)}.service"
    assert make_unit_name("jupyter-alice", "lab-2") == "jupyter-alice--lab-2.service"
