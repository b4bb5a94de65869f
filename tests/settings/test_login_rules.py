"""Ways to log in that could not work, or would let in the wrong people."""

from __future__ import annotations

import pytest

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.hub.config_check import check_configuration
from tljh.hub.configuration import as_json, build_hub_configuration
from tljh.settings.derived import build_access_traits, get_callback_url, get_site_url
from tljh.settings.load import examine, load
from tljh.settings.login_providers import PROVIDERS, find_provider
from tljh.settings.rules.logins import find_login_warnings

HTTPS = "https: {enabled: true, letsencrypt: {email: a@b.org, domains: [hub.example.org]}}\n"
GITHUB = "auth: {type: github, GitHubOAuthenticator: {client_id: i, client_secret: s%s}%s}\n"


def warnings(text: str) -> list[str]:
    """Return what `tljh-config` says about a file."""
    return [finding.what for finding in examine(text.encode()).findings("warning")]


@pytest.fixture
def refusals(tmp_path, monkeypatch):
    """Return what a reload refuses, with everything that the hub would load."""

    def look(text: str, drop_in: str = "") -> list[str]:
        paths = Paths(tmp_path)
        (tmp_path / "jupyterhub_config.d").mkdir(exist_ok=True)
        config = examine(text.encode()).config
        (tmp_path / "hub.json").write_bytes(as_json(build_hub_configuration(config, paths)))
        (tmp_path / "jupyterhub_config.d" / "own.py").write_text(drop_in)
        monkeypatch.setenv("TLJH_APPLIED", str(tmp_path))
        return [finding.what for finding in check_configuration(paths)[0]]

    return look


@pytest.mark.parametrize("name", ["github", "oauthenticator.github.GitHubOAuthenticator"])
def test_missing_credentials_are_named_before_anything_restarts(refusals, name):
    text = f"auth: {{type: {name}}}\nusers: {{allowed: [alice]}}\n{HTTPS}"
    messages = refusals(text)
    for trait in ("client_id", "client_secret"):
        what = f"auth.GitHubOAuthenticator.{trait} is not set, so no user can log in"
        assert what in messages
        assert what in warnings(text)


def test_what_a_drop_in_has_is_not_missing(refusals):
    text = f"auth: {{type: github}}\nusers: {{allowed: [alice]}}\n{HTTPS}"
    drop_in = "c.GitHubOAuthenticator.client_id = 'i'\nc.OAuthenticator.client_secret = 's'\n"
    assert refusals(text, drop_in) == []


def test_a_complete_provider_with_somebody_allowed_is_fine(refusals):
    text = GITHUB % ("", "") + "users: {allowed: [alice]}\n" + HTTPS
    assert refusals(text) == []
    assert [what for what in warnings(text) if "not checked" not in what] == []


@pytest.mark.parametrize("name", ["pam", "ldap", "github", "generic-oauth"])
def test_nobody_allowed_is_refused(refusals, name):
    expected = "no user may log in with"
    assert any(what.startswith(expected) for what in refusals(f"auth: {{type: {name}}}\n"))


def test_administrators_alone_are_somebody_but_worth_a_word(refusals):
    text = "auth: {type: pam}\nusers: {admin: [boss]}\n"
    assert refusals(text) == []
    assert warnings(text) == ["only admins may log in with PAM: accounts of this machine"]


def test_dummy_is_warned_of_every_time():
    expected = "auth.type is dummy, which allows a login under any name"
    text = "auth: {type: dummy}\nusers: {admin: [boss]}\n"
    assert warnings(text) == [expected]
    assert [problem.what for problem in find_login_warnings(examine(text.encode()).config)] == [
        expected
    ]
    assert list(find_login_warnings(examine(b"auth: {type: github}").config)) == []


@pytest.mark.parametrize(
    "rule",
    [
        "auth: {type: pam, PAMAuthenticator: {allowed_groups: [students]}}",
        "auth: {type: pam, LocalAuthenticator: {admin_groups: [staff]}}",
        "auth: {type: pam, allow_all: true}",
        "auth: {type: pam, Authenticator: {allow_existing_users: false}}\nusers: {allowed: [a]}",
    ],
)
def test_any_rule_that_allows_somebody_will_do(refusals, rule):
    assert refusals(rule) == []


def test_the_whole_world_is_refused_unless_it_is_meant(refusals):
    for way in ((", allow_all: true", ""), ("", ", allow_all: true")):
        (messages,) = refusals(GITHUB % way + HTTPS)
        assert messages == "anyone in the world with an account at GitHub could log in"
    assert refusals(GITHUB % ("", ", allow_all: true, allow_strangers: true") + HTTPS) == []


@pytest.mark.parametrize(
    ("name", "cls", "narrow", "wide"),
    [
        ("github", "GitHubOAuthenticator", "github_url: https://git.example.org", ""),
        ("google", "GoogleOAuthenticator", "hosted_domain: [example.org]", ""),
        ("azuread", "AzureAdOAuthenticator", "tenant_id: 0000", "tenant_id: common"),
        ("gitlab", "GitLabOAuthenticator", "gitlab_url: https://g.org", ""),
    ],
)
def test_everybody_of_ones_own_organization_is_not_the_world(refusals, name, cls, narrow, wide):
    for traits, count in ((narrow, 0), (wide, 1)):
        text = (
            f"auth:\n  type: {name}\n  allow_all: true\n  {cls}:\n"
            f"    client_id: i\n    client_secret: s\n    {traits}\n{HTTPS}"
        )
        messages = [what for what in refusals(text) if "in the world" in what]
        assert len(messages) == count


def test_people_are_not_sent_back_over_http(refusals):
    text = GITHUB % ("", "") + "users: {allowed: [alice]}\n"
    (messages,) = refusals(text)
    assert messages.endswith("which must be served over HTTPS")
    plain = GITHUB % (", oauth_callback_url: 'http://hub.example.org/hub/oauth_callback'", "")
    (messages,) = refusals(plain + "users: {allowed: [alice]}\n")
    assert "over http" in messages
    for address in ("https://hub.example.org", "http://localhost:8000"):
        fine = GITHUB % (f", oauth_callback_url: '{address}/hub/oauth_callback'", "")
        assert refusals(fine + "users: {allowed: [alice]}\n") == []


def test_ldap_needs_a_way_from_names_to_entries(refusals):
    text = "auth: {type: ldap, LDAPAuthenticator: {server_address: l%s}}\nusers: {allowed: [a]}\n"
    assert refusals(text % "") == ["no setting maps a login name to an entry of the directory"]
    assert refusals(text % ", bind_dn_template: ['uid={username},dc=e']") == []


def test_the_callback_is_derived_from_the_domain_the_port_and_the_base_url():
    text = f"base_url: /jupyter\nauth: {{type: github}}\n{HTTPS}"
    config = examine(text.replace("true,", "true, port: 8443,").encode()).config
    assert get_callback_url(config) == "https://hub.example.org:8443/jupyter/hub/oauth_callback"
    assert get_callback_url(examine(b"auth: {type: github}").config) is None


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_every_provider_is_found_by_its_short_name_and_its_class(provider):
    assert find_provider(provider.name) is provider
    assert find_provider(f"some.module.{provider.main_class}") is provider


def test_access_traits_does_not_change_with_the_length_of_a_list():
    for kind in ("firstuse", "native", "pam", "ldap", "github"):
        for users in ("", "users: {allowed: [a]}"):
            config = examine(f"auth: {{type: {kind}}}\n{users}".encode()).config
            assert build_access_traits(config)["allow_all"] is False
            assert build_access_traits(config)["allow_existing_users"] is False


def test_what_is_open_by_nature_stays_open_until_people_are_listed():
    for kind in ("dummy", "shared-password", "tmp"):
        config = examine(f"auth: {{type: {kind}}}\nusers: {{admin: [boss]}}".encode()).config
        assert build_access_traits(config)["allow_all"] is True
    config = examine(b"auth: {type: dummy}\nusers: {allowed: [a]}").config
    assert build_access_traits(config)["allow_all"] is False


def test_a_class_of_somebody_elses_keeps_its_own_idea_of_everybody():
    assert "allow_all" not in build_access_traits(examine(b"auth: {type: my.own.Thing}").config)


def test_problems_of_the_settings_stop_no_edit(refusals):
    assert examine(b"auth: {type: github}").findings("error", "incomplete") == []
    with pytest.raises(TljhError):
        raise TljhError(examine(b"auth: {allow_all: maybe}").findings("error"))


@pytest.mark.parametrize(
    ("text", "site"),
    [
        ("https: {domains: [hub.example.org]}\n", None),
        (
            "https: {domains: [hub.example.org]}\n"
            "trusted_proxies: [192.0.2.1]\nbase_url: /jupyter\n",
            "https://hub.example.org/jupyter/",
        ),
        (
            "https: {enabled: true, mode: internal, port: 8443, domains: ['2001:db8::1']}\n",
            "https://[2001:db8::1]:8443/",
        ),
    ],
)
def test_public_address_follows_from_the_name_and_who_does_https(text, site):
    assert get_site_url(load(text.encode())) == site


def test_provider_is_fine_behind_a_proxy_that_does_https(refusals):
    text = GITHUB % ("", "") + "users: {allowed: [alice]}\n"
    text += "https: {domains: [hub.example.org]}\ntrusted_proxies: [192.0.2.1]\n"
    assert get_callback_url(load(text.encode())) == "https://hub.example.org/hub/oauth_callback"
    assert refusals(text) == []
    assert [what for what in warnings(text) if "HTTPS" in what] == []
