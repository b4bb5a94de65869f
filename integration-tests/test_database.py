"""The hub's database on real servers of Debian: set up, moved, away, backed up, moved back."""

from __future__ import annotations

import json

import requests

from machine import Machine
from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"
STATE = "/opt/tljh/state"


def read_status(machine: Machine) -> dict:
    return json.loads(machine.run("tljh db status --json").stdout)


def api(machine: Machine, path: str) -> requests.Response:
    token = machine.run(f"cat {STATE}/hub-api.secret").stdout.strip()
    headers = {"Authorization": f"token {token}"}
    return requests.get(f"http://{machine.address()}/hub/api/{path}", headers=headers, timeout=30)


def test_the_database_moves_to_postgresql_and_back_while_a_server_runs(installed_shared: Machine):
    machine = installed_shared
    url = f"http://{machine.address()}"
    import_users(machine, ["ann"], PASSWORD)
    ann = HubUser(url, "ann")
    ann.login(PASSWORD)
    ann.start_server()
    pid = machine.run("systemctl show -P MainPID jupyter-ann").stdout
    users = {user["name"] for user in api(machine, "users").json()}

    planned = machine.run("tljh db move postgresql --plan", timeout_s=180).stdout
    assert "psycopg[binary]" in planned and "postgresql" in planned and "SQLite" in planned
    machine.run("apt-get update -q", timeout_s=180)
    machine.run("tljh db move postgresql --yes", timeout_s=600)
    status = read_status(machine)
    assert status["type"] == "postgresql" and status["users"] == len(users)
    assert {user["name"] for user in api(machine, "users").json()} == users
    assert ann.http.get(f"{url}/hub/home", timeout=10).url.endswith("/hub/home")
    assert machine.run("systemctl show -P MainPID jupyter-ann").stdout == pid
    assert machine.run("tljh status", check=False).code == 0
    assert "nothing" in machine.run("tljh-config plan", timeout_s=120).stdout.lower()

    # The server is away for some seconds: the hub says so, and recovers by itself.
    machine.run("systemctl stop postgresql@15-main || systemctl stop 'postgresql@*'")
    wait_until(lambda: api(machine, "users").status_code == 503, "an answer without database")
    broken = machine.run("tljh status", check=False)
    assert broken.code == 1 and "database" in broken.stdout + broken.stderr
    machine.run("systemctl start postgresql@15-main || systemctl start postgresql")
    wait_until(lambda: api(machine, "users").ok, "the hub again", timeout_s=10)
    assert machine.run("systemctl show -P MainPID jupyter-ann").stdout == pid

    # Not empty any more: it is kept, and the move is refused until it is said to be replaced.
    machine.run("tljh db move sqlite --yes", timeout_s=300)
    assert read_status(machine)["type"] == "sqlite"
    assert {user["name"] for user in api(machine, "users").json()} == users
    refused = machine.run("tljh db move postgresql --yes", check=False, timeout_s=300)
    assert refused.code == 1 and "not empty" in refused.stderr
    assert read_status(machine)["type"] == "sqlite"
    assert machine.run("systemctl show -P MainPID jupyter-ann").stdout == pid
