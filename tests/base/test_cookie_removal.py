"""For which paths and domains a cookie is deleted."""

from __future__ import annotations

import pytest

from tljh.base.cookie_removal import CookiePlace, deletion_headers, list_names


@pytest.mark.parametrize(
    ("path", "paths"),
    [
        ("/", ["/"]),
        ("/hub/login", ["/", "/hub", "/hub/", "/hub/login"]),
        ("/hub/", ["/", "/hub", "/hub/"]),
        ("/a;b/c", ["/"]),
        ("", ["/"]),
    ],
)
def test_paths_are_all_that_a_browser_would_send_a_cookie_for(path, paths):
    assert CookiePlace(path, "h", False).paths == paths


@pytest.mark.parametrize(
    ("host", "domains"),
    [
        ("hub.example.org:8443", ["", "hub.example.org", "example.org"]),
        ("HUB.Example.org.", ["", "hub.example.org", "example.org"]),
        ("localhost", [""]),
        ("192.0.2.1:80", [""]),
        ("[2001:db8::1]:80", [""]),
        ("", [""]),
    ],
)
def test_domains_are_those_above_the_host(host, domains):
    assert CookiePlace("/", host, False).domains == domains


def test_names_are_read_in_their_order_also_without_a_value():
    assert list_names("a=1; b=x=y;a=2; bare; =z;") == ["a", "b", "a", "", ""]


def test_the_own_cookie_stays_and_partitioned_ones_of_its_path_go():
    place = CookiePlace("/hub/", "h", True)
    deletions = list(deletion_headers("a", place, keep="/hub/", at_root=False))
    assert deletions == [
        "a=x; Path=/hub; Max-Age=0",
        "a=x; Path=/hub; Max-Age=0; Secure; Partitioned",
        "a=x; Path=/hub/; Max-Age=0; Secure; Partitioned",
    ]
    assert "__Host-a=x; Path=/; Max-Age=0; Secure" in list(deletion_headers("__Host-a", place))
