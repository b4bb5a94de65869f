"""Tokens of users: a real JupyterHub, called with tljh's own token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.hub.process.running import RunningHub, running_hub
from tljh.base.errors import TljhError
from tljh.host.real import RealReader
from tljh.hub.api_client import HubApi, TokenOrder
from tljh.operations.tokens import (
    choose_validity,
    create_token,
    list_tokens,
    parse_scopes,
    parse_validity,
    revoke_token,
)
from tljh.settings.load import load

TOKEN = "tljh-own-token-0123456789abcdef"
USERS = "auth: {type: dummy}\nusers: {admin: [ada], allowed: [bob]}\n"


def prepare(hub: RunningHub) -> None:
    hub.paths.hub_token.write_text(TOKEN)
    hub.paths.hub_token.chmod(0o600)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub"), USERS, prepare=prepare) as hub:
        yield hub


@pytest.fixture
def api(hub: RunningHub) -> HubApi:
    return HubApi(RealReader(), f"{hub.url}/api", TOKEN)


def status(hub: RunningHub, token: str, path: str, method: str = "GET") -> int:
    headers = {"Authorization": f"token {token}"}
    url = f"{hub.url}/api{path}"
    return requests.request(method, url, headers=headers, timeout=30).status_code


def test_token_has_the_scopes_that_were_asked_for_and_no_other(
    hub: RunningHub, api: HubApi
) -> None:
    order = TokenOrder("report", 3600, parse_scopes("read:users, list:users"))
    new = create_token(api, "Ada", order)
    assert status(hub, new.token, "/users") == 200
    assert status(hub, new.token, "/users/eve", "POST") == 403
    assert {"read:users", "list:users"} <= set(new.stored.scopes)
    assert new.stored.note == "report" and new.stored.expires


def test_token_without_scopes_has_the_rights_of_its_user(hub: RunningHub, api: HubApi) -> None:
    assert status(hub, create_token(api, "ada", TokenOrder("x", 60)).token, "/users") == 200
    assert status(hub, create_token(api, "bob", TokenOrder("x", 60)).token, "/users") == 403


def test_token_is_listed_without_its_secret_and_revoked(hub: RunningHub, api: HubApi) -> None:
    new = create_token(api, "bob", TokenOrder("revoke me", 60))
    assert status(hub, new.token, "/user") == 200
    (stored,) = [token for token in list_tokens(api, None) if token.note == "revoke me"]
    assert stored.owner == "bob"
    assert new.token not in str(list_tokens(api, "bob"))
    revoke_token(api, "bob", stored.id)
    assert status(hub, new.token, "/user") == 403
    with pytest.raises(TljhError, match="has no token"):
        revoke_token(api, "bob", stored.id)


@pytest.mark.parametrize(
    ("name", "scopes", "what"),
    [
        ("adda", "", "the hub has no user adda"),
        ("bob", "admin:users", "made no token for bob"),
        ("ada", "no:such:scope", "made no token for ada"),
    ],
)
def test_refusal_has_the_reason(api: HubApi, name: str, scopes: str, what: str) -> None:
    with pytest.raises(TljhError) as failed:
        create_token(api, name, TokenOrder("x", 60, parse_scopes(scopes)))
    finding = failed.value.findings[0]
    assert what in finding.what
    assert scopes in (finding.why or "")


def test_hub_that_does_not_answer_is_named() -> None:
    api = HubApi(RealReader(), "http://127.0.0.1:9/hub/api", TOKEN)
    with pytest.raises(TljhError, match="the hub does not answer"):
        create_token(api, "ada", TokenOrder("x", 60))


@pytest.mark.parametrize(("text", "seconds"), [("12h", 43_200), ("30d", 2_592_000), ("60", 60)])
def test_validity_is_a_duration(text: str, seconds: int) -> None:
    assert parse_validity(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "99999d", "never"])
def test_validity_without_an_end_is_refused(text: str) -> None:
    with pytest.raises(TljhError, match="--expires"):
        parse_validity(text)


@pytest.mark.parametrize(
    ("setting", "text", "seconds"),
    [("", "", 7_776_000), ("token_days: 30", "", 2_592_000), ("token_days: 30", "1d", 86_400)],
)
def test_without_a_time_a_token_is_valid_for_as_long_as_tokens_may_be(
    setting: str, text: str, seconds: int
) -> None:
    assert choose_validity(load(f"auth: {{{setting}}}".encode()), text) == seconds


def test_a_token_that_would_be_valid_for_too_long_is_refused_with_the_setting() -> None:
    with pytest.raises(TljhError, match=r"auth\.token_days is 30"):
        choose_validity(load(b"auth: {token_days: 30}"), "60d")
