"""Temporary users of a real hub: made by the launcher's token, removed with their session."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.hub.process.running import HERE, RunningHub, free_port

LAUNCHER = "c" * 40
WAIT_S = 30


def configuration(**launch: int) -> str:
    settings = {"enabled": True, "unused": 600, "most": 5, **launch}
    return f"hub: {{mode: api-only}}\nauth: {{type: dummy}}\nlaunch: {json.dumps(settings)}\n"


class LaunchHub(RunningHub):
    def adapt(self, traits: dict[str, dict[str, object]]) -> None:
        traits["Spawner"] |= {"cmd": [sys.executable, str(HERE / "their_server.py")]}
        traits["Spawner"] |= {"environment": {}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = LaunchHub(tmp_path_factory.mktemp("hub"), free_port())
    running.configure(configuration())
    running.paths.launcher_token.write_text(LAUNCHER)
    running.start()
    yield running
    running.stop()


@pytest.fixture(autouse=True)
def no_users(hub: RunningHub) -> Iterator[None]:
    yield
    for user in hub.api("GET", "users").json():
        hub.api("DELETE", f"users/{user['name']}")
    await_true(lambda: not records(hub))


def launch(hub: RunningHub, method: str, path: str, body: object = None) -> requests.Response:
    headers = {"Authorization": f"token {LAUNCHER}"}
    url = f"{hub.url}/api/{path}"
    return requests.request(method, url, headers=headers, json=body, timeout=30)


def make_user(hub: RunningHub) -> str:
    answer = launch(hub, "POST", "tljh/temporary-users")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["name"])


def records(hub: RunningHub) -> list[str]:
    directory = hub.paths.temporary_users
    return sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []


def await_true(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_launcher_makes_starts_and_deletes_its_users(hub: RunningHub) -> None:
    name = make_user(hub)
    assert launch(hub, "POST", f"users/{name}/server").status_code in (201, 202)
    await_true(lambda: launch(hub, "GET", f"users/{name}").json()["servers"][""]["ready"])
    scope = f"access:servers!user={name}"
    token = launch(hub, "POST", f"users/{name}/tokens", {"scopes": [scope], "expires_in": 60})
    assert token.status_code == 201
    assert launch(hub, "DELETE", f"users/{name}").status_code == 204
    await_true(lambda: not records(hub))
    assert hub.api("GET", f"users/{name}").status_code == 404


def test_a_session_ends_at_once_also_during_a_start(hub: RunningHub) -> None:
    name = make_user(hub)
    assert launch(hub, "POST", f"users/{name}/server").status_code in (201, 202)
    assert launch(hub, "DELETE", f"tljh/temporary-users/{name}").status_code == 204
    assert records(hub) == [] and hub.api("GET", f"users/{name}").status_code == 404
    assert launch(hub, "DELETE", f"tljh/temporary-users/{name}").status_code == 404


def test_launcher_reaches_nobody_else(hub: RunningHub) -> None:
    assert hub.api("POST", "users/ann").status_code == 201
    for method, path in (
        ("DELETE", "users/ann"),
        ("DELETE", "tljh/temporary-users/ann"),
        ("POST", "users/ann/server"),
        ("POST", "users/ann/tokens"),
        ("GET", "users/ann"),
        ("POST", "users/eve"),
        ("GET", "users"),
        ("POST", "groups/temporary/users"),
    ):
        answer = launch(hub, method, path, {"users": ["ann"]} if "groups" in path else None)
        assert answer.status_code in (403, 404) or answer.json() == [], (method, path)
    assert hub.api("GET", "users/ann").status_code == 200


def test_other_tokens_make_no_temporary_users(hub: RunningHub) -> None:
    hub.api("POST", "users/ann")
    token = hub.api("POST", "users/ann/tokens").json()["token"]
    headers = {"Authorization": f"token {token}"}
    url = f"{hub.url}/api/tljh/temporary-users"
    assert requests.post(url, headers=headers, timeout=30).status_code == 403
    assert requests.post(url, timeout=30).status_code == 403


def test_number_of_temporary_users_is_limited(hub: RunningHub) -> None:
    for _ in range(5):
        make_user(hub)
    answer = launch(hub, "POST", "tljh/temporary-users")
    assert answer.status_code == 429 and int(answer.headers["Retry-After"]) > 0


def test_a_member_of_the_group_without_a_record_is_never_removed(hub: RunningHub) -> None:
    name = make_user(hub)
    hub.api("POST", "users/ann")
    hub.api("POST", "users/guest-bcdfghjkmn")
    members = ["ann", "guest-bcdfghjkmn"]
    assert hub.api("POST", "groups/temporary/users", json={"users": members}).status_code == 200
    hub.restart(configuration(unused=1))
    await_true(lambda: not records(hub))
    left = {user["name"] for user in hub.api("GET", "users").json()}
    assert name not in left and set(members) <= left


def test_session_ends_with_its_server_and_after_its_longest_time(hub: RunningHub) -> None:
    hub.restart(configuration(longest=600))
    name, other = make_user(hub), make_user(hub)
    for each in (name, other):
        launch(hub, "POST", f"users/{each}/server")
        await_true(lambda each=each: hub.api("GET", f"users/{each}").json()["servers"])
    await_true(lambda: hub.api("GET", f"users/{name}").json()["servers"][""]["ready"])
    assert launch(hub, "DELETE", f"users/{name}/server").status_code in (202, 204)
    await_true(lambda: records(hub) == [other])
    hub.restart(configuration(longest=1))
    await_true(lambda: not records(hub))
    assert hub.api("GET", f"users/{other}").status_code == 404


def test_a_record_whose_user_was_never_made_goes(hub: RunningHub) -> None:
    # What a hub leaves that is killed between the two.
    hub.stop()
    directory = Path(hub.paths.temporary_users)
    directory.mkdir(exist_ok=True)
    (directory / "guest-zzzzzzzzzz").write_text("")
    (directory / "ann").write_text("{}")
    hub.start()
    await_true(lambda: records(hub) == ["ann"])
    (directory / "ann").unlink()
