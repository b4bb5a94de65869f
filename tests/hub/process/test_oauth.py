"""OAuth and OpenID Connect: a login at a real provider, and the addresses of the named ones."""

from __future__ import annotations

from urllib.parse import parse_qs, urlparse

import pytest
import requests

from tests.hub.process.running import Browser, RunningHub, free_port, running_hub, tries

oidc = pytest.importorskip("oidc_provider_mock")

PEOPLE = ("alice@example.org", "boss@example.org", "stranger@example.org")


@pytest.fixture(scope="module")
def provider():
    users = [oidc.User(sub=name, claims={"email": name}) for name in PEOPLE]
    with oidc.run_server_in_thread(user_claims=users) as server:
        yield f"http://localhost:{server.server_port}"


def settings(provider: str) -> str:
    endpoints = requests.get(f"{provider}/.well-known/openid-configuration", timeout=10).json()
    return (
        "auth:\n"
        "  type: generic-oauth\n"
        "  GenericOAuthenticator:\n"
        "    client_id: hub\n"
        "    client_secret: '00123'\n"
        f"    authorize_url: {endpoints['authorization_endpoint']}\n"
        f"    token_url: {endpoints['token_endpoint']}\n"
        f"    userdata_url: {endpoints['userinfo_endpoint']}\n"
        "    username_claim: email\n"
        "    scope: [openid, email]\n"
        "users: {allowed: [alice@example.org], admin: [boss@example.org]}\n"
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory, provider):
    with running_hub(tmp_path_factory.mktemp("hub"), settings(provider)) as hub:
        yield hub


def sign_in(hub, name: str) -> tuple[Browser, requests.Response]:
    """Log in at the provider as `name` and follow the redirect to the hub."""
    browser = Browser(hub)
    away = browser.get("/oauth_login", allow_redirects=False)
    assert away.status_code == 302
    back = browser.session.post(away.headers["Location"], data={"sub": name}, allow_redirects=False)
    assert back.status_code == 302
    return browser, browser.session.get(back.headers["Location"], allow_redirects=False)


@pytest.mark.parametrize("name", PEOPLE[:2])
def test_a_listed_user_or_an_admin_logs_in(hub, name):
    browser, answer = sign_in(hub, name)
    assert answer.status_code == 302, answer.text
    assert browser.name == name


def test_a_user_who_is_known_to_the_provider_only_is_refused(hub):
    browser, answer = sign_in(hub, "stranger@example.org")
    assert answer.status_code == 403
    assert browser.name is None


def test_the_login_page_leads_to_the_provider(hub):
    assert "/hub/oauth_login" in Browser(hub).get("/login").text


def test_a_provider_that_is_down_is_a_sentence_for_the_user_and_a_reason_in_the_log(
    tmp_path, provider
):
    endpoint = requests.get(f"{provider}/.well-known/openid-configuration", timeout=10).json()
    text = settings(provider).replace(
        f"token_url: {endpoint['token_endpoint']}", f"token_url: http://127.0.0.1:{free_port()}/"
    )
    with running_hub(tmp_path, text) as hub:
        _, answer = sign_in(hub, "alice@example.org")
        assert answer.status_code == 503
        assert "does not answer. Try again" in answer.text
        assert "The server that checks logins failed: ConnectionRefusedError" in hub.log


def test_a_callback_without_a_login_is_refused(hub):
    assert Browser(hub).get("/oauth_callback?code=x&state=y").status_code == 400


BACK = "    oauth_callback_url: https://hub.example.org/hub/oauth_callback\n"


def test_auth_check_reaches_the_provider_and_prints_the_callback_url(tmp_path, provider):
    hub = RunningHub(tmp_path, 1)
    hub.configure(settings(provider).replace("    client_id", BACK + "    client_id"))
    results = tries(hub)
    assert all(result["is_fine"] for result in results), results
    texts = [result["what"] for result in results]
    assert "the settings are complete" in texts
    for name in ("authorize_url", "token_url", "userdata_url"):
        assert any(text.startswith(f"{name} at localhost") for text in texts)
    assert "users return to https://hub.example.org/hub/oauth_callback" in texts


def test_auth_check_reports_an_address_that_does_not_answer(tmp_path, provider):
    hub = RunningHub(tmp_path, 1)
    text = settings(provider).replace("    client_id", BACK + "    client_id")
    hub.configure(text.replace("userdata_url: http://", "userdata_url: http://127.0.0.1:9/"))
    failures = [result["what"] for result in tries(hub) if not result["is_fine"]]
    assert any(text.startswith("userdata_url") for text in failures)


def test_auth_check_reports_a_missing_setting(tmp_path, provider):
    hub = RunningHub(tmp_path, 1)
    hub.configure(settings(provider).replace("    client_secret: '00123'\n", ""))
    assert any("client_secret is not set" in result["what"] for result in tries(hub))


@pytest.mark.parametrize(
    ("name", "cls", "more", "where"),
    [
        ("github", "GitHubOAuthenticator", "", "https://github.com/login/oauth/authorize"),
        (
            "google",
            "GoogleOAuthenticator",
            "hosted_domain: [example.org]",
            "https://accounts.google.com/o/oauth2/v2/auth",
        ),
        (
            "azuread",
            "AzureAdOAuthenticator",
            "tenant_id: 0000-1111",
            "https://login.microsoftonline.com/0000-1111/oauth2/authorize",
        ),
        (
            "gitlab",
            "GitLabOAuthenticator",
            "gitlab_url: https://git.example.org",
            "https://git.example.org/oauth/authorize",
        ),
    ],
)
def test_the_named_providers_get_the_callback_at_the_hubs_domain(tmp_path, name, cls, more, where):
    text = (
        f"auth:\n  type: {name}\n  {cls}:\n"
        f"    client_id: our-id\n    client_secret: our-secret\n    {more}\n"
        "users: {allowed: [alice]}\n"
        "https: {enabled: true, letsencrypt: {email: a@example.org, domains: [hub.example.org]}}\n"
    )
    with running_hub(tmp_path, text) as hub:
        away = Browser(hub, is_https=True).get("/oauth_login", allow_redirects=False)
    address = urlparse(away.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == where
    query = parse_qs(address.query)
    assert query["redirect_uri"] == ["https://hub.example.org/hub/oauth_callback"]
    assert query["client_id"] == ["our-id"]
    assert query["response_type"] == ["code"]
    assert query["code_challenge_method"] == ["S256"]
    assert "our-secret" not in away.headers["Location"]
