"""A real hub before and after its secrets were replaced: the old ones open nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from tests.hub.process.running import Browser, RunningHub, running_hub

USERS = "auth: {type: dummy, allow_all: true}\n"
OLD, NEW = "a1" * 30, "b2" * 30


@pytest.fixture(scope="module")
def hub(tmp_path_factory) -> Iterator[RunningHub]:
    directory = tmp_path_factory.mktemp("hub")
    with running_hub(directory, USERS, prepare=lambda hub: write_secrets(hub, OLD)) as running:
        yield running


def write_secrets(hub: RunningHub, text: str) -> None:
    for path, secret in (
        (hub.paths.metrics_token, f"{text}01"),
        (hub.paths.hub_token, f"{text}02"),
        (hub.paths.cookie_secret, f"{text}0304"),
    ):
        path.write_text(f"{secret}\n")
        path.chmod(0o600)


def ask(hub: RunningHub, path: str, token: str) -> requests.Response:
    headers = {"Authorization": f"token {token}"}
    return requests.get(f"{hub.url}{path}", headers=headers, timeout=30)


def test_the_token_for_metrics_reads_them_and_nothing_else(hub):
    assert requests.get(f"{hub.url}/metrics", timeout=30).status_code == 403
    metrics = ask(hub, "/metrics", f"{OLD}01")
    assert metrics.status_code == 200
    for name in ("tljh_machine_memory_bytes", "tljh_disk_free_bytes", "jupyterhub_total_users"):
        assert f"\n{name}" in metrics.text
    assert ask(hub, "/api/users", f"{OLD}01").status_code == 403
    assert ask(hub, "/api/users", f"{OLD}02").status_code == 200


def test_after_a_rotation_the_old_secrets_open_nothing(hub):
    browser = Browser(hub)
    browser.login("ada", "x")
    assert browser.name == "ada"
    hub.stop()
    write_secrets(hub, NEW)
    hub.start()
    assert browser.name is None
    assert ask(hub, "/metrics", f"{OLD}01").status_code == 403
    assert ask(hub, "/metrics", f"{NEW}01").status_code == 200
    assert ask(hub, "/api/users", f"{OLD}02").status_code == 403
    assert ask(hub, "/api/users", f"{NEW}02").status_code == 200
    # Another service's token, and a login with the new key, are as before.
    assert hub.api("GET", "users").status_code == 200
    browser = Browser(hub)
    browser.login("ada", "x")
    assert browser.name == "ada"
