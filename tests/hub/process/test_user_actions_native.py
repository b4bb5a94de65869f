"""Passwords that native keeps in the hub's database, changed and deleted by tljh."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.base.paths import Paths
from tljh.base.progress import SilentProgress
from tljh.host.fake import FakeHost
from tljh.host.password_store import hash_password
from tljh.host.real import RealReader
from tljh.hub.api_client import HubApi
from tljh.users.changed_passwords import NativePassword
from tljh.users.claims import claim_file, make_claim

OLD, NEW = "an old passphrase", "a new passphrase"
TOKEN = "tljh-own-token-0123456789abcdef"
TEXT = "auth: {type: native}\nusers: {allowed: [lena, nora, nele, lars, lisa]}\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    directory = tmp_path_factory.mktemp("native")
    (directory / "state").mkdir()
    Paths(directory).hub_token.write_text(TOKEN)
    with running_hub(directory, TEXT) as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HubApi(RealReader(), f"{hub.url}/api", TOKEN)


def sign_up(hub, name: str, password: str) -> None:
    fields = {"signup_password": password, "signup_password_confirmation": password}
    Browser(hub).post("/signup", username=name, **fields)


def can_log_in(hub, name: str, password: str) -> bool:
    return Browser(hub).login(name, password).status_code == 302


def test_a_password_that_is_reset_replaces_the_old_one_until_it_is_rolled_back(hub):
    sign_up(hub, "lena", OLD)
    assert can_log_in(hub, "lena", OLD)
    host = FakeHost()
    resource = NativePassword(hub.paths.hub_database, "lena", hash_password(NEW))
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    assert resource.difference(host) is None
    assert not can_log_in(hub, "lena", OLD)
    assert can_log_in(hub, "lena", NEW)
    NativePassword.revert(host, record)
    assert can_log_in(hub, "lena", OLD)


def test_a_forgotten_user_may_sign_up_again(hub):
    sign_up(hub, "nora", OLD)
    host = FakeHost()
    resource = NativePassword(hub.paths.hub_database, "nora", None)
    record = resource.before(host)
    resource.apply(host, SilentProgress())
    assert resource.difference(host) is None
    assert not can_log_in(hub, "nora", OLD)
    NativePassword.revert(host, record)
    assert can_log_in(hub, "nora", OLD)
    resource.apply(host, SilentProgress())
    sign_up(hub, "nora", NEW)
    assert can_log_in(hub, "nora", NEW)


def test_after_too_many_bad_logins_a_new_password_works_at_once(hub, api):
    sign_up(hub, "lars", OLD)
    for _ in range(6):
        status = Browser(hub).login("lars", "wrong").status_code
    assert status == 429
    api.act("forget-failures", "lars")
    assert can_log_in(hub, "lars", OLD)


def test_a_claim_ends_the_wait_and_leads_to_a_login_page_with_the_name(hub):
    claim = make_claim("lisa")
    path = claim_file(hub.paths.claims_dir, "lisa")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    sign_up(hub, "lisa", "a stranger's passphrase")
    for _ in range(6):
        Browser(hub).login("lisa", "a stranger's passphrase")
    browser, link = Browser(hub), claim.path("/").removeprefix("/hub")
    fields = {"name": "lisa", "token": claim.token, "password": NEW, "again": NEW}
    answer = browser.post("/claim", page=link, **fields)
    page = browser.session.get(urljoin(hub.url, answer.headers["Location"])).text
    assert "Your password is set" in page and 'value="lisa"' in page
    assert browser.login("lisa", NEW).status_code == 302
    assert 'href="/hub/change-password"' in browser.get("/home").text


def test_a_user_who_is_shut_out_is_not_authorized_any_more(hub, api, restart_with):
    restart_with("auth: {type: native, NativeAuthenticator: {open_signup: true}}\n")
    sign_up(hub, "olga", OLD)
    assert can_log_in(hub, "olga", OLD)
    restart_with(TEXT)
    assert can_log_in(hub, "olga", OLD)
    api.act("shut-out", "olga")
    assert not can_log_in(hub, "olga", OLD)


def test_a_user_who_is_shut_out_has_the_password_when_listed_again(hub, api, restart_with):
    sign_up(hub, "nele", OLD)
    api.act("shut-out", "nele")
    assert not can_log_in(hub, "nele", OLD)
    restart_with("auth: {type: native}\nusers: {allowed: [nele]}\n")
    assert can_log_in(hub, "nele", OLD)
