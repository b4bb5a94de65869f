"""What tljh asks a hub to do to people: a real JupyterHub, asked with tljh's own token."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest
import requests

from tests.hub.process.test_app import Systemd, free_port
from tljh.base.errors import TljhError
from tljh.base.paths import TOKEN_FILE
from tljh.host.real import RealReader
from tljh.hub.api_client import HubApi
from tljh.settings.derived import api_url


class Visitor:
    """Somebody with a browser's session."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.http = requests.Session()
        self.http.trust_env = False

    @property
    def _xsrf(self) -> str:
        return next(c.value for c in self.http.cookies if c.name == "_xsrf")

    def log_in(self) -> int:
        self.http.get(f"{self.url}/hub/login")
        form = {"username": self.name, "password": "irrelevant-1", "_xsrf": self._xsrf}
        answer = self.http.post(f"{self.url}/hub/login", data=form, allow_redirects=False)
        return answer.status_code

    def ask(self, method: str, path: str, **options) -> requests.Response:
        return self.http.request(
            method, f"{self.url}/hub/api{path}", headers={"X-XSRFToken": self._xsrf}, **options
        )

    def is_logged_in(self) -> bool:
        return self.ask("GET", "/user").status_code == 200


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    directory = tmp_path_factory.mktemp("hub")
    applied = directory / "applied"
    (applied / "jupyterhub_config.d").mkdir(parents=True)
    (directory / "state").mkdir()
    (directory / "state" / TOKEN_FILE).write_text("tljh-own-token-0123456789abcdef\n")
    port = free_port()
    traits = {
        "JupyterHub": {
            "hub_port": port,
            "hub_ip": "127.0.0.1",
            "bind_url": f"http://127.0.0.1:{port}/",
            "proxy_class": "lone_proxy.LoneProxy",
            "spawner_class": "lone_spawner.LoneSpawner",
            "authenticator_class": "dummy",
            "db_url": "sqlite:///hub.sqlite",
            "cookie_secret_file": "cookie",
        },
        "Authenticator": {"allow_all": True, "admin_users": ["ada"], "blocked_users": ["eve"]},
    }
    (applied / "hub.json").write_text(json.dumps(traits))
    # Replaces every service and role, as admins' own drop-ins do.
    (applied / "jupyterhub_config.d" / "mine.py").write_text(
        "c.JupyterHub.services = []\nc.JupyterHub.load_roles = []\n"
    )
    systemd = Systemd(directory)
    systemd.url = f"http://127.0.0.1:{port}"
    systemd.start()
    yield systemd
    systemd.hub.kill()
    systemd.hub.wait()


@pytest.fixture
def api(hub):
    token = "tljh-own-token-0123456789abcdef"
    return HubApi(RealReader(), api_url("/").replace(":15001", hub.url[-6:]), token)


def visitor(hub, name: str) -> Visitor:
    found = Visitor(hub.url, name)
    assert found.log_in() == 302
    return found


def user(api, name: str):
    return next((one for one in api.users() or () if one.name == name), None)


def test_people_are_listed_with_what_they_are(hub, api):
    ada = visitor(hub, "ada")
    assert ada.ask("POST", "/users/ada/server").status_code in (201, 202)
    found = user(api, "ada")
    assert found.is_admin
    assert found.servers == ("",)
    assert found.last_activity


def test_more_people_than_a_page_holds_are_all_listed(api):
    api.add(f"pupil-{number:03}" for number in range(12))
    names = [one.name for one in replace(api, page=5).users()]
    assert {f"pupil-{number:03}" for number in range(12)} <= set(names)
    assert len(names) == len(set(names))


def test_adding_who_is_there_already_is_no_error(api):
    api.add(["pupil-001"])


def test_a_hub_that_does_not_know_us_is_a_hub_that_does_not_answer(api):
    assert HubApi(api.host, api.url, "wrong").users() is None
    assert HubApi(api.host, "http://127.0.0.1:1/hub/api", api.token).users() is None


def test_who_is_shut_out_loses_session_tokens_and_servers(hub, api):
    bob = visitor(hub, "bob")
    assert bob.ask("POST", "/users/bob/server").status_code in (201, 202)
    token = bob.ask("POST", "/users/bob/tokens", json={"note": "a script"}).json()["token"]
    assert user(api, "bob").servers
    api.act("shut-out", "bob")
    assert not bob.is_logged_in()
    headers = {"Authorization": f"token {token}"}
    assert requests.get(f"{hub.url}/hub/api/user", headers=headers).status_code == 403
    assert user(api, "bob") is None


def test_who_is_shut_out_while_their_server_starts_is_out_at_once(hub, api):
    mallory = visitor(hub, "slow-mallory")
    assert mallory.ask("POST", "/users/slow-mallory/server").status_code == 202
    began_s = time.monotonic()
    api.act("shut-out", "slow-mallory")
    assert time.monotonic() - began_s < 10
    assert not mallory.is_logged_in()
    assert user(api, "slow-mallory") is None
    # Whoever comes back begins anew.
    again = visitor(hub, "slow-mallory")
    assert again.ask("GET", "/users/slow-mallory").json()["servers"] == {}


def test_who_is_logged_out_while_their_server_starts_may_start_another(hub, api):
    sam = visitor(hub, "slow-sam")
    assert sam.ask("POST", "/users/slow-sam/server").status_code == 202
    api.act("log-out", "slow-sam")
    assert sam.log_in() == 302
    assert user(api, "slow-sam").servers == ()
    assert sam.ask("POST", "/users/slow-sam/server").status_code in (201, 202)
    assert user(api, "slow-sam").servers == ("",)
    api.act("shut-out", "slow-sam")


def test_who_is_demoted_keeps_the_session_but_neither_rights_nor_server(hub, api):
    carol = visitor(hub, "carol")
    ada = visitor(hub, "ada")
    assert ada.ask("PATCH", "/users/carol", json={"admin": True}).status_code == 200
    assert carol.ask("GET", "/users").status_code == 200
    assert carol.ask("POST", "/users/carol/server").status_code in (201, 202)
    api.act("demote", "carol")
    assert carol.is_logged_in()
    assert carol.ask("GET", "/users").status_code == 403
    assert user(api, "carol").servers == ()
    assert not user(api, "carol").is_admin


def test_who_is_logged_out_may_log_in_again(hub, api):
    dave = visitor(hub, "dave")
    api.act("log-out", "dave")
    assert not dave.is_logged_in()
    assert dave.log_in() == 302


def test_acting_on_somebody_the_hub_does_not_know_is_no_error(api):
    for action in ("shut-out", "demote", "log-out", "forget"):
        api.act(action, "no-such-person")


def test_an_action_that_there_is_not_is_refused(api):
    with pytest.raises(TljhError, match="no action"):
        api.act("promote", "dave")


def test_a_plain_user_cannot_act_on_others(hub, api):
    mallory = visitor(hub, "mallory")
    answer = mallory.ask("POST", "/tljh/people/ada", json={"action": "demote"})
    assert answer.status_code in (403, 404)
    assert user(api, "ada").is_admin


def test_a_password_is_set_only_where_the_authenticator_keeps_one(api):
    with pytest.raises(TljhError, match="did not change the password") as caught:
        api.set_password("dave", "long-enough-1")
    assert "keeps no password" in str(caught.value)
