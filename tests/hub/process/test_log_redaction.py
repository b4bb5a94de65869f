"""The hub's request log: secrets are masked wherever they are, and nothing else is."""

from __future__ import annotations

import time
from urllib.parse import quote

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.hub.process.log_redaction import redact_address, redact_headers

SECRET = "s3cr3t-value"


@pytest.mark.parametrize(
    "address",
    [
        "/hub/api/users?state=active&offset=0&limit=50&sort=id",
        "/hub/api/users?state=ready&name_filter=mrs%20smith",
        "/user/ada/lab?keyword=a&encoding=utf-8&author=b&estate=c&monkey=d&decode=1",
        "/hub/login?next=%2Fhub%2Fuser%2Fada%2Flab%3Freset",
        "/hub/spawn/ada?profile=big&codec=x",
        "/hub/api/users/ada/tokens/a12",
    ],
)
def test_what_is_no_secret_is_logged_as_it_is(address):
    assert redact_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        f"/hub/claim?name=ada&token={SECRET}",
        f"/hub/oauth_callback?code={SECRET}&state={SECRET}",
        f"/hub/api/oauth2/authorize?client_id=x&state={SECRET}&code_challenge=y",
        f"/user/ada/oauth_callback?state={SECRET}",
        f"/user/ada/lab?token={SECRET}",
        f"/hub/x?access_token={SECRET};client-secret={SECRET}",
        f"/hub/x#id_token={SECRET}",
        f"/hub/login?ticket={SECRET}&SAMLResponse={SECRET}",
        f"/hub/login?_xsrf={SECRET}&password={SECRET}&api_key={SECRET}&TOKEN={SECRET}",
        f"/hub/login?next={quote(f'/hub/claim?name=ada&token={SECRET}', safe='')}",
        f"/hub/login?next={quote(quote(f'/hub/claim?token={SECRET}', safe=''), safe='')}",
        f"/hub/api/authorizations/token/{SECRET}",
        f"/hub/api/authorizations/cookie/jupyterhub/{SECRET}",
    ],
)
def test_a_secret_in_an_address_is_masked(address):
    assert SECRET not in redact_address(address)
    assert "[secret]" in redact_address(address) or "%5Bsecret%5D" in redact_address(address)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Authorization", f"Bearer {SECRET}"),
        ("Authorization", SECRET),
        ("Proxy-Authorization", f"Basic {SECRET}"),
        ("Cookie", f"jupyterhub-session-id={SECRET}"),
        ("X-Xsrftoken", SECRET),
        ("X-Forwarded-Access-Token", SECRET),
        ("X-Api-Key", SECRET),
        ("Sec-Websocket-Protocol", f"v1.token.websocket.jupyter.org.{SECRET}"),
        ("Referer", f"https://hub.example.org/hub/claim?name=ada&token={SECRET}"),
    ],
)
def test_a_secret_in_a_header_is_masked(name, value):
    assert SECRET not in redact_headers({name: value})[name]


def test_other_headers_are_logged_as_they_are():
    headers = {"User-Agent": "Mozilla/5.0 (X11)", "Accept": "text/html;q=0.9", "Host": "hub:8080"}
    assert redact_headers(headers) == headers


def test_the_running_hub_logs_by_these_rules(tmp_path):
    with running_hub(tmp_path, "auth: {type: dummy, allow_all: true}\n") as hub:
        hub.api("GET", "users?state=active")
        Browser(hub).get(f"/claim?name=ada&token={SECRET}")
        # The line is written after the answer.
        deadline = time.monotonic() + 20
        while "/hub/claim?" not in hub.log and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "/hub/api/users?state=active" in hub.log
        assert "/hub/claim?[cut]" in hub.log
        assert SECRET not in hub.log
