"""Actions of tljh on users: a real JupyterHub, called with tljh's own token."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
import requests

from tests.hub.process.running import running_hub
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.real import RealReader
from tljh.hub.api_client import HubApi

TOKEN = "tljh-own-token-0123456789abcdef"
# Replaces every service and role, as admins' own drop-ins do.
DROP_IN = """
c.JupyterHub.spawner_class = "lone_spawner.LoneSpawner"
c.JupyterHub.services = []
# The start of a hub waits so long for servers that do not answer.
c.JupyterHub.init_spawners_timeout = 1
c.JupyterHub.load_roles = []
"""


class Visitor:
    """A user with a browser's session at `url`, which ends in /hub."""

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self.http = requests.Session()
        self.http.trust_env = False

    @property
    def _xsrf(self) -> str:
        return next(c.value for c in self.http.cookies if c.name == "_xsrf")

    def log_in(self) -> int:
        self.http.get(f"{self.url}/login")
        form = {"username": self.name, "password": "irrelevant-1", "_xsrf": self._xsrf}
        answer = self.http.post(f"{self.url}/login", data=form, allow_redirects=False)
        return answer.status_code

    def ask(self, method: str, path: str, **options) -> requests.Response:
        return self.http.request(
            method, f"{self.url}/api{path}", headers={"X-XSRFToken": self._xsrf}, **options
        )

    def is_logged_in(self) -> bool:
        return self.ask("GET", "/user").status_code == 200


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Start one hub for all tests: each uses other names than the rest."""
    directory = tmp_path_factory.mktemp("hub")
    (directory / "state").mkdir()
    Paths(directory).hub_token.write_text(f"{TOKEN}\n")
    text = "auth: {type: dummy, allow_all: true}\nusers: {admin: [ada], banned: [eve]}\n"
    with running_hub(directory, text, DROP_IN) as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HubApi(RealReader(), f"{hub.url}/api", TOKEN)


def visitor(hub, name: str) -> Visitor:
    visitor = Visitor(hub.url, name)
    assert visitor.log_in() == 302
    return visitor


def user(api, name: str):
    return next((user for user in api.users() or () if user.name == name), None)


def test_users_are_listed_with_role_servers_and_activity(hub, api):
    ada = visitor(hub, "ada")
    assert ada.ask("POST", "/users/ada/server").status_code in (201, 202)
    listed = user(api, "ada")
    assert listed.is_admin
    assert listed.servers == ("",)
    assert listed.last_activity


def test_users_on_several_pages_are_all_listed(api):
    api.add(f"pupil-{number:03}" for number in range(12))
    names = [user.name for user in replace(api, page=5).users()]
    assert {f"pupil-{number:03}" for number in range(12)} <= set(names)
    assert len(names) == len(set(names))


def test_adding_a_user_twice_is_not_an_error(api):
    api.add(["twin"])
    api.add(["twin"])
    assert [user.name for user in api.users()].count("twin") == 1


def test_a_hub_that_refuses_the_token_counts_as_one_that_does_not_answer(api):
    assert HubApi(api.host, api.url, "wrong").users() is None
    assert HubApi(api.host, "http://127.0.0.1:1/hub/api", api.token).users() is None


def test_a_user_who_is_shut_out_loses_session_tokens_and_servers(hub, api):
    bob = visitor(hub, "bob")
    assert bob.ask("POST", "/users/bob/server").status_code in (201, 202)
    token = bob.ask("POST", "/users/bob/tokens", json={"note": "a script"}).json()["token"]
    assert user(api, "bob").servers
    api.act("shut-out", "bob")
    assert not bob.is_logged_in()
    headers = {"Authorization": f"token {token}"}
    assert requests.get(f"{hub.url}/api/user", headers=headers).status_code == 403
    assert user(api, "bob") is None


def test_a_user_is_shut_out_at_once_while_a_server_starts(hub, api):
    mallory = visitor(hub, "slow-mallory")
    assert mallory.ask("POST", "/users/slow-mallory/server").status_code == 202
    start_s = time.monotonic()
    api.act("shut-out", "slow-mallory")
    assert time.monotonic() - start_s < 10
    assert not mallory.is_logged_in()
    assert user(api, "slow-mallory") is None
    # The next login finds no server.
    again = visitor(hub, "slow-mallory")
    assert again.ask("GET", "/users/slow-mallory").json()["servers"] == {}


ANSWERS = {
    "good": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "fails": b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


class HostileServer:
    """A user's server on its own port: at first it answers, then as `behaviour` says."""

    def __init__(self) -> None:
        self.behaviour = "good"
        self.answered = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.kept: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def user(self) -> str:
        return f"outside-{self.socket.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.answered += 1
            if self.behaviour == "hangs":
                self.kept.append(connection)
                continue
            with connection, contextlib.suppress(OSError):
                if self.behaviour in ANSWERS:
                    connection.recv(65536)
                    connection.sendall(ANSWERS[self.behaviour])

    def close(self) -> None:
        for connection in self.kept:
            connection.close()
        self.socket.close()


@pytest.fixture
def hostile_server():
    server = HostileServer()
    yield server
    server.close()


def start_hostile_server(hub, hostile_server) -> Visitor:
    bob = visitor(hub, hostile_server.user)
    assert bob.ask("POST", f"/users/{bob.name}/server").status_code in (201, 202)
    wait_until(lambda: bob.ask("GET", f"/users/{bob.name}").json()["servers"][""]["ready"])
    return bob


def wait_until(condition: Callable[[], object]) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.1)


@pytest.mark.parametrize("action", ["shut-out", "demote"])
@pytest.mark.parametrize("behaviour", ["closes", "hangs", "fails"])
def test_a_server_that_does_not_answer_a_restarted_hub_keeps_no_user_in(
    hub, api, hostile_server, behaviour, action
):
    bob = start_hostile_server(hub, hostile_server)
    name = bob.name
    hostile_server.behaviour = behaviour
    hub.restart(hub.text, hub.drop_in)
    assert user(api, name).servers == ("",)
    start_s = time.monotonic()
    api.act(action, name)
    assert time.monotonic() - start_s < 10
    if action == "shut-out":
        assert user(api, name) is None
        assert not bob.is_logged_in()
    else:
        assert user(api, name).servers == ()
        api.act("shut-out", name)


def test_a_server_that_does_not_answer_a_restarted_hub_is_stopped_without_the_culler(
    hub, api, hostile_server
):
    # The culler leaves out servers that the hub still checks.
    bob = start_hostile_server(hub, hostile_server)
    hostile_server.behaviour = "hangs"
    hub.restart(hub.text, hub.drop_in + "c.Spawner.http_timeout = 1\n")
    # Nor does it hold up the next restart meanwhile.
    start_s = time.monotonic()
    hub.restart(hub.text, hub.drop_in + "c.Spawner.http_timeout = 1\n")
    assert time.monotonic() - start_s < 25
    wait_until(lambda: user(api, bob.name).servers == ())


def test_a_server_that_never_stops_keeps_no_user_in(hub, api):
    eve = visitor(hub, "endless-eve")
    assert eve.ask("POST", "/users/endless-eve/server").status_code in (201, 202)
    start_s = time.monotonic()
    api.act("shut-out", "endless-eve")
    assert time.monotonic() - start_s < 20
    assert not eve.is_logged_in()
    assert user(api, "endless-eve") is None


def test_a_user_who_is_logged_out_while_a_server_starts_may_start_another(hub, api):
    sam = visitor(hub, "slow-sam")
    assert sam.ask("POST", "/users/slow-sam/server").status_code == 202
    api.act("log-out", "slow-sam")
    assert sam.log_in() == 302
    assert user(api, "slow-sam").servers == ()
    assert sam.ask("POST", "/users/slow-sam/server").status_code in (201, 202)
    assert user(api, "slow-sam").servers == ("",)
    api.act("shut-out", "slow-sam")


def test_a_demoted_admin_keeps_the_session_but_neither_rights_nor_server(hub, api):
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


def test_a_user_who_is_logged_out_may_log_in_again(hub, api):
    dave = visitor(hub, "dave")
    api.act("log-out", "dave")
    assert not dave.is_logged_in()
    assert dave.log_in() == 302


def test_sessions_end_in_every_browser_while_tokens_and_servers_go_on(hub, api):
    frank, other = visitor(hub, "frank"), visitor(hub, "frank")
    assert frank.ask("POST", "/users/frank/server").status_code in (201, 202)
    api.act("end-sessions", "frank")
    assert not frank.is_logged_in()
    assert not other.is_logged_in()
    assert user(api, "frank").servers == ("",)
    api.act("shut-out", "frank")


def test_an_action_on_an_unknown_user_is_not_an_error(api):
    for action in ("shut-out", "demote", "end-sessions", "log-out", "forget"):
        api.act(action, "no-such-person")


def test_an_unknown_action_is_refused(api):
    with pytest.raises(TljhError, match="no action"):
        api.act("promote", "dave")


def test_a_plain_user_cannot_act_on_others(hub, api):
    mallory = visitor(hub, "mallory")
    answer = mallory.ask("POST", "/tljh/users/ada", json={"action": "demote"})
    assert answer.status_code in (403, 404)
    assert user(api, "ada").is_admin
