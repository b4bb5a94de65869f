"""The account of a login name: the one it gets, or the one that a takeover marked for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tljh.base.account_names import list_unit_names, make_account_name
from tljh.host.accounts import find_account_name, find_running_units, make_mark
from tljh.host.fake import FakeHost


def test_an_account_with_the_login_in_its_mark_counts_whatever_its_name():
    host = FakeHost()
    assert find_account_name(host, "BobSmith") == make_account_name("BobSmith")
    host.add_user(
        "jupyter-BobSmith", home=Path("/home/jupyter-BobSmith"), comment=make_mark("BobSmith")
    )
    assert find_account_name(host, "BobSmith") == "jupyter-BobSmith"
    assert find_account_name(host, "bobsmith") == "jupyter-bobsmith"


def test_a_name_that_we_refuse_has_the_account_of_before_or_none():
    host = FakeHost()
    assert find_account_name(host, "o'neil") is None
    host.add_user("jupyter-o'neil", home=Path("/home/jupyter-oneil"), comment=make_mark("o'neil"))
    assert find_account_name(host, "o'neil") == "jupyter-o'neil"


@pytest.mark.parametrize(
    ("account", "login", "units"),
    [
        ("jupyter-ann", "ann", ("jupyter-ann.service",)),
        (
            "jupyter-ann@example.org",
            "ann@example.org",
            ("jupyter-annX40example.org.service", "jupyter-ann@example.org.service"),
        ),
        # It could be the server b of a user a.
        ("jupyter-a--b", "a--b", ("jupyter-a-X2db.service",)),
    ],
)
def test_a_server_of_before_is_found_under_its_own_unit(account, login, units):
    assert list_unit_names(account, login) == units


def test_a_running_server_of_before_ends_with_its_user():
    host = FakeHost()
    account = "jupyter-ann@example.org"
    host.add_user(account, home=Path("/home/ann"), comment=make_mark("ann@example.org"))
    host.systemctl("start", "jupyter-ann@example.org.service")
    assert find_running_units(host, account) == ["jupyter-ann@example.org.service"]
