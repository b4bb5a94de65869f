"""Traitlets sections are held against the classes that are really installed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.configurations import catalogue_bytes, real_catalogue
from tljh.settings.load import check
from tljh.settings.redaction import looks_secret
from tljh.settings.trait_catalogue import Catalogue


def refusals(class_name: str, **traits: Any) -> list[str]:
    return [
        problem.what for problem in real_catalogue().find_section_problems((class_name,), traits)
    ]


def test_catalogue_has_the_hub_every_authenticator_and_our_spawner() -> None:
    classes = set(real_catalogue().classes)
    assert {
        "JupyterHub",
        "Authenticator",
        "Spawner",
        "SystemdSpawner",
        "UserCreatingSpawner",
        "GitHubOAuthenticator",
        "NativeAuthenticator",
        "FirstUseAuthenticator",
        "LDAPAuthenticator",
        "TmpAuthenticator",
        "PAMAuthenticator",
        "TraefikFileProviderProxy",
    } <= classes


def test_inherited_traits_belong_to_a_class() -> None:
    names = real_catalogue().list_trait_names("GitHubOAuthenticator")
    assert {"client_id", "allowed_organizations", "admin_users"} <= set(names)


@pytest.mark.parametrize(
    ("class_name", "trait", "value"),
    [
        ("JupyterHub", "active_server_limit", 50),
        ("JupyterHub", "allow_named_servers", True),
        ("JupyterHub", "services", [{"name": "x"}]),
        ("JupyterHub", "base_url", None),
        ("Spawner", "mem_limit", "2G"),
        ("Spawner", "mem_limit", 2147483648),
        ("Spawner", "cpu_limit", 2),
        ("Spawner", "cmd", "jupyter-labhub"),
        ("Spawner", "cmd", ["jupyter-labhub", "--debug"]),
        ("Spawner", "environment", {"A": "b"}),
        ("Authenticator", "admin_users", ["alice"]),
        ("GitHubOAuthenticator", "client_secret", "hush"),
        ("GitHubOAuthenticator", "client_secret", {"file": "/root/secret"}),
        ("LDAPAuthenticator", "tls_strategy", "on_connect"),
        ("GenericOAuthenticator", "username_claim", "email"),
    ],
)
def test_value_that_the_class_takes_is_taken(class_name: str, trait: str, value: Any) -> None:
    assert refusals(class_name, **{trait: value}) == []


def test_what_the_catalogue_takes_the_class_takes_too() -> None:
    """Give the same values to real traits, so that the two cannot disagree."""
    from jupyterhub.app import JupyterHub
    from traitlets import TraitError

    hub = JupyterHub()
    # Python takes True for a number, and so do traits; in YAML that is a mistake, and ours says so.
    samples: list[Any] = [1, 1.5, "text", ["a"], {"a": "b"}]
    names = ["active_server_limit", "allow_named_servers", "services", "tornado_settings"]
    names += ["cookie_max_age_days", "db_url", "trusted_alt_names", "hub_port"]
    for name in names:
        for value in samples:
            if isinstance(value, str) and isinstance(getattr(hub, name), list):
                continue  # traits make a list of one of it; `admin: bob` is a mistake here
            try:
                setattr(hub, name, value)
                takes = True
            except TraitError:
                takes = False
            assert (refusals("JupyterHub", **{name: value}) == []) == takes, (name, value)


def test_unknown_class_and_trait_are_reported_with_the_nearest() -> None:
    (problem,) = real_catalogue().find_section_problems(("JupterHub",), {})
    assert problem.fix == "did you mean JupyterHub?"
    (problem,) = real_catalogue().find_section_problems(("Spawner",), {"mem_limt": "1G"})
    assert problem.fix == "did you mean mem_limit?"


def test_refusal_of_a_secret_does_not_show_it() -> None:
    (refusal,) = refusals("GitHubOAuthenticator", client_secret=["hush"])
    assert "hush" not in refusal


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("client_secret", True),
        ("password", True),
        ("api_token", True),
        ("lookup_dn_search_password", True),
        ("token_url", False),
        ("cookie_secret_file", False),
        ("client_id", False),
    ],
)
def test_names_of_traits_tell_which_are_secret(name: str, secret: bool) -> None:
    assert looks_secret(name) is secret


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"{", b'{"classes": 1}', b"\xff"])
def test_damaged_catalogue_is_as_good_as_none(data: bytes) -> None:
    assert Catalogue.parse(data) is None


def test_catalogue_is_small_enough_to_be_read_at_every_set() -> None:
    assert len(catalogue_bytes()) < 400_000


LTI = """\
hub: {packages: [jupyterhub-courseauthenticator]}
auth:
  type: course13
  Course13Authenticator: {client_id: [a]}
"""


def test_what_a_new_package_may_bring_is_checked_in_the_environment_that_has_it():
    data = json.dumps({"wanted": {"specs": []}}).encode()
    catalogue = Catalogue.parse(catalogue_bytes(), data)
    assert catalogue is not None
    assert check(LTI.encode(), catalogue=catalogue) == []
    # Its environment was built, and the class is missing in it.
    data = json.dumps({"wanted": {"specs": ["jupyterhub-courseauthenticator"]}}).encode()
    built = Catalogue.parse(catalogue_bytes(), data)
    assert len(check(LTI.encode(), catalogue=built)) == 2
    # A mistake that no package fixes is refused at once.
    wrong = LTI + "FirstUseAuthenticator: {create_users: maybe}\n"
    assert len(check(wrong.encode(), catalogue=catalogue)) == 1


def test_the_class_of_auth_type_may_be_configured_without_an_entry_point():
    text = "auth:\n  type: tornado.web.OwnAuthenticator\n  OwnAuthenticator: {secret: x}\n"
    assert check(text.encode(), catalogue=real_catalogue()) == []
    other = text.replace("  OwnAuth", "  OtherAuth")
    (finding,) = check(other.encode(), catalogue=real_catalogue())
    assert "no class OtherAuthenticator is installed" in finding.what


def test_the_configured_class_is_in_the_catalogue_without_an_entry_point(tmp_path, monkeypatch):
    from tljh.hub import trait_scan

    (tmp_path / "own_login.py").write_text(
        "from jupyterhub.auth import DummyAuthenticator\nfrom traitlets import Unicode\n"
        "class OwnLogin(DummyAuthenticator):\n"
        "    course = Unicode().tag(config=True)\n"
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("auth: {type: own_login.OwnLogin}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("TLJH_INSTALL_PREFIX", str(tmp_path))
    built = trait_scan.build(trait_scan._find_configured())
    catalogue = Catalogue.parse(json.dumps(built).encode())
    assert catalogue is not None
    assert "course" in catalogue.list_trait_names("OwnLogin")
    text = b"auth: {type: own_login.OwnLogin, OwnLogin: {coures: x}}\n"
    (finding,) = check(text, catalogue=catalogue)
    assert finding.what == "OwnLogin has no trait coures"
    assert "own_login.OwnLogin" not in catalogue.short_names
