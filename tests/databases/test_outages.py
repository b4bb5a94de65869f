"""A real hub whose database server dies, is locked, and is away at its start."""

from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
import requests

from tests.databases.servers import Server, create_database
from tests.hub.process.running import RunningHub, running_hub

RECOVERY_S = 2.0


def configure(server: Server, name: str) -> str:
    return (
        "auth:\n  type: dummy\n  DummyAuthenticator:\n    password: a-long-password\n"
        f"database:\n  type: {server.kind}\n  url: {server.at(name).url}\n"
    )


def ask_often(hub: RunningHub, answers: list[tuple[float, int]], end: threading.Event) -> None:
    """Ask who a token is of, as users' servers do, until `end` is set."""
    while not end.is_set():
        start = time.monotonic()
        answer = hub.api("GET", "users")
        answers.append((start, answer.status_code))
        if answer.status_code == 503:
            assert answer.headers["Retry-After"]
            assert "database" in answer.json()["message"]


def test_a_server_that_dies_and_returns_costs_503_and_never_403(server: Server, tmp_path):
    create_database(server, "dies")
    with running_hub(tmp_path, configure(server, "dies")) as hub:
        assert hub.api("POST", "users/before").status_code == 201
        answers: list[tuple[float, int]] = []
        end = threading.Event()
        asking = [threading.Thread(target=ask_often, args=(hub, answers, end)) for _ in range(4)]
        for thread in asking:
            thread.start()
        server.stop()
        deadline = time.monotonic() + 10
        while not any(status == 503 for _, status in answers) and time.monotonic() < deadline:
            time.sleep(0.05)
        health = requests.get(f"{hub.url}/health", timeout=10)
        page = requests.get(f"{hub.url}/login", headers={"Accept": "text/html"}, timeout=10)
        server.start()
        returned = time.monotonic()
        while time.monotonic() - returned < RECOVERY_S + 1:
            time.sleep(0.05)
        end.set()
        for thread in asking:
            thread.join(30)
        counts = Counter(status for _, status in answers)
        assert set(counts) == {200, 503}, counts
        assert health.status_code == page.status_code == 503
        assert "waiting for its database" in page.text
        late = [status for start, status in answers if start > returned + RECOVERY_S]
        assert late
        assert set(late) == {200}
        assert {user["name"] for user in hub.api("GET", "users").json()} >= {"before"}


def test_a_silent_restart_of_the_server_loses_no_request(server: Server, tmp_path):
    create_database(server, "restarts")
    with running_hub(tmp_path, configure(server, "restarts")) as hub:
        assert hub.api("POST", "users/before").status_code == 201
        server.stop()
        server.start()
        assert hub.api("POST", "users/after").status_code == 201


def test_a_hub_waits_for_a_server_that_is_away_at_its_start(server: Server, tmp_path):
    create_database(server, "late")
    server.stop()

    def come_back() -> None:
        deadline = time.monotonic() + 30
        while "Waiting for the hub's database" not in read_log() and time.monotonic() < deadline:
            time.sleep(0.05)
        server.start()

    def read_log() -> str:
        log = tmp_path / "hub.log"
        return log.read_text() if log.exists() else ""

    starting = threading.Thread(target=come_back)
    starting.start()
    try:
        with running_hub(tmp_path, configure(server, "late")) as hub:
            starting.join(60)
            assert "Waiting for the hub's database: " in hub.log
            assert hub.api("GET", "users").ok
    finally:
        starting.join(60)


@pytest.mark.parametrize("seconds", [3])
def test_a_lock_of_seconds_is_waited_for(postgresql: Server, tmp_path, seconds):
    create_database(postgresql, "locked")
    with running_hub(tmp_path, configure(postgresql, "locked")) as hub:
        lock = f"BEGIN; LOCK TABLE users; SELECT pg_sleep({seconds}); COMMIT"
        holding = threading.Thread(target=postgresql.ask, args=(lock, "locked"))
        holding.start()
        count = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'"
        deadline = time.monotonic() + 10
        while postgresql.ask(count).text == "0" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert hub.api("POST", "users/waited").status_code == 201
        holding.join(30)
