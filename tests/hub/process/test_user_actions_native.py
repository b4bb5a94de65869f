"""Passwords that native keeps in the hub's database, changed and deleted by tljh."""

from __future__ import annotations

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.real import RealReader
from tljh.hub.api_client import HubApi

OLD, NEW = "an old passphrase", "a new passphrase"
TOKEN = "tljh-own-token-0123456789abcdef"
TEXT = "auth: {type: native}\nusers: {allowed: [lena, nora, nele]}\n"


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


def test_a_password_that_is_reset_replaces_the_old_one(hub, api):
    sign_up(hub, "lena", OLD)
    assert can_log_in(hub, "lena", OLD)
    api.set_password("lena", NEW)
    assert not can_log_in(hub, "lena", OLD)
    assert can_log_in(hub, "lena", NEW)


def test_a_user_who_never_signed_up_has_no_password_to_reset(api):
    with pytest.raises(TljhError, match="did not change the password"):
        api.set_password("nobody", NEW)


def test_a_forgotten_user_may_sign_up_again(hub, api):
    sign_up(hub, "nora", OLD)
    api.act("forget", "nora")
    assert not can_log_in(hub, "nora", OLD)
    sign_up(hub, "nora", NEW)
    assert can_log_in(hub, "nora", NEW)


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
