"""Login names to accounts: property tests over what people and identity providers send."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.hub.names import account_name, is_acceptable, unit_name

logins = st.text(min_size=1, max_size=60).filter(is_acceptable)


@pytest.mark.parametrize(
    ("login", "account"),
    [
        ("bob", "jupyter-bob"),
        ("a@b.org", "jupyter-a@b.org"),
        ("12345", "jupyter-12345"),
        ("x" * 17, "jupyter-" + "x" * 17),
        # sha256 of the whole name with its prefix begins with these five digits.
        ("x" * 18, "jupyter-" + "x" * 18 + "-" + "08411"),
    ],
)
def test_names_that_worked_under_tljh_keep_their_accounts(login, account):
    assert account_name(login) == account


@pytest.mark.parametrize(
    "login",
    ["", "..", "a..b", "`id`", "{x}", "a;id", "a\nb", "a/b", "-rf", "a'b", 'a"b', " a", "a ", "\0"],
)
def test_names_that_mean_something_to_a_shell_or_a_path_are_refused(login):
    assert not is_acceptable(login)
    with pytest.raises(ValueError, match="no account can be made"):
        account_name(login)


@given(logins)
def test_every_account_name_is_one_that_linux_takes(login):
    account = account_name(login)
    assert re.fullmatch(r"jupyter-[a-z0-9._@+-]+", account)
    assert len(account) <= 32


@given(logins, logins)
def test_two_login_names_never_share_an_account(one, other):
    assert one == other or account_name(one) != account_name(other)


@given(logins)
def test_an_account_name_used_as_a_login_name_leads_elsewhere(login):
    literal = account_name(login).removeprefix("jupyter-")
    if literal != login and is_acceptable(literal):
        assert account_name(literal) != account_name(login)


@given(logins, st.sampled_from(["", "lab-2"]))
def test_a_unit_name_ends_in_service_and_holds_nothing_that_systemd_reads(login, server):
    name = unit_name(account_name(login), server)
    assert name.endswith(".service")
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)


def test_a_unit_name_of_an_address_has_neither_backslash_nor_at_sign():
    assert unit_name(account_name("a@b.org")) == "jupyter-aX40b.org.service"
    assert unit_name(account_name("a+b"), "lab") == "jupyter-aX2bb--lab.service"


@given(logins, logins)
def test_two_login_names_never_share_a_unit(one, other):
    assert one == other or unit_name(account_name(one)) != unit_name(account_name(other))
