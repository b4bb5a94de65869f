"""The export of a real hub to files for the chart of Zero to JupyterHub."""

from __future__ import annotations

import csv
import io
import json

import pytest

from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
PLACE = "/root/z2jh"
SETTINGS = """\
tljh-config set limits.memory 1G
tljh-config set limits.users '{teresa: {memory: 2G}}'
tljh-config set users.shared_folders '{course: jupyterhub-users}'
printf 'c = get_config()\\nc.Spawner.http_timeout = 77\\n' \
    > /opt/tljh/config/jupyterhub_config.d/own.py
tljh-config reload
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    import_users(machine, ("teresa", "ulf"), PASSWORD)
    machine.run(SETTINGS, timeout_s=120)
    user = HubUser(f"http://{machine.address()}", "teresa")
    user.login(PASSWORD)
    user.start_server()
    return machine


def export(hub, arguments: str, codes: tuple[int, ...] = (0,)):
    done = hub.run(f"tljh export z2jh {arguments} --json", timeout_s=120, check=False)
    assert done.code in codes, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_a_plan_writes_nothing(hub):
    planned = export(hub, f"{PLACE} --plan")
    assert {file["change"] for file in planned["files"]} == {"+"}
    assert hub.run(f"test -e {PLACE}", check=False).code == 1


def test_a_real_hub_is_exported_and_looked_at_again(hub):
    report = export(hub, f"{PLACE} --image registry.example.org/users:7")
    assert report["written"]
    text = {
        name: hub.run(f"cat {PLACE}/{name}").stdout
        for name in ("values.yaml", "secrets.yaml", "users.csv", "REPORT.md", "image/packages.txt")
    }
    modes = hub.run(f"stat -c '%a %U' {PLACE} {PLACE}/secrets.yaml {PLACE}/hub/*.sqlite").stdout
    assert modes.split() == ["700", "root", "600", "root", "600", "root"]
    assert 'limit: "1G"' in text["values.yaml"]
    assert 'tag: "7"' in text["values.yaml"]
    cookie = hub.run("cat /opt/tljh/state/jupyterhub_cookie_secret").stdout.strip()
    assert cookie in text["secrets.yaml"]
    assert "http_timeout = 77" in text["secrets.yaml"]
    assert not any(cookie in text[name] for name in ("values.yaml", "REPORT.md"))
    assert cookie not in hub.run("cat /opt/tljh/state/journal/*/*", check=False).stdout
    rows = {row["login"]: row for row in csv.DictReader(io.StringIO(text["users.csv"]))}
    assert rows["teresa"]["account"] == "jupyter-teresa"
    assert rows["teresa"]["claim"] == "claim-teresa" and int(rows["teresa"]["size"]) > 0
    assert rows["ulf"]["account"] == ""
    assert (
        "@EXPLICIT" in text["image/packages.txt"] and "/jupyterlab-" in text["image/packages.txt"]
    )
    passwords = json.loads(hub.run(f"cat {PLACE}/hub/passwords.json").stdout)
    assert passwords["ulf"].startswith("$2b$")
    schema = hub.run(
        "python3 -c \"import sqlite3; c = sqlite3.connect('"
        f"{PLACE}/hub/jupyterhub.sqlite'); "
        "print(c.execute('select version_num from alembic_version').fetchone()[0], "
        "c.execute('select count(*) from servers').fetchone()[0])\""
    )
    assert schema.stdout.split() == ["4621fec11365", "0"]

    again = export(hub, PLACE)
    assert {file["change"] for file in again["files"]} == {"="}
    # A new process of the hub has new tokens for its services.
    hub.run("systemctl restart jupyterhub && tljh status --wait", timeout_s=60)
    assert export(hub, f"--check {PLACE}")["differences"] == []
    hub.run("tljh user add vera && tljh-config set limits.cpu 2 && tljh-config reload")
    since = export(hub, f"--check {PLACE}", codes=(2,))
    said = {(entry["kind"], entry["what"]) for entry in since["differences"]}
    assert ("settings", "limits.cpu is new: 2.0") in said or (
        "settings",
        "limits.cpu is new: 2",
    ) in said
    assert any(kind == "settings" and "users.allowed" in what for kind, what in said)


def test_a_directory_of_others_is_left_alone(hub):
    done = hub.run("tljh export z2jh /root", check=False)
    assert done.code == 1 and "files that no export wrote" in done.stderr
    hub.run("mkdir /tmp/theirs && chown nobody /tmp/theirs")
    assert "root's alone" in hub.run("tljh export z2jh /tmp/theirs", check=False).stderr
