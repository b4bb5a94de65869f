"""People who come, change and go: what is left of their rights on a real machine."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from session import HubUser, claim_account

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"


NAMES = ("anna", "bert", "cora", "dora", "fred", "gina", "hugo", "ines", "jan", "kim")


@pytest.fixture(scope="module")
def hub(installed_shared):
    """A hub that knows everybody in NAMES; `hub.url` is where it answers from here."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    lines = "name,password\\n" + "".join(f"{name},{PASSWORD}\\n" for name in NAMES)
    machine.run(f"printf '{lines}' | tljh user import -")
    return machine


def tljh(hub, command: str):
    return json.loads(hub.run(f"tljh user {command} --json").stdout)


def person(hub, name: str):
    return next((one for one in tljh(hub, "list") if one["name"] == name), None)


def at_work(hub, name: str) -> HubUser:
    """Somebody who is logged in, and has a running server."""
    user = HubUser(hub.url, name)
    user.login(PASSWORD)
    user.start_server()
    return user


def is_logged_in(user: HubUser) -> bool:
    return user.hub_api("GET", "/user").status_code == 200


def eventually(condition, what, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.2)


def runs(hub, account: str) -> str:
    """What an account still runs."""
    return hub.run(f"ps -o pid,cmd --no-headers -U {account}", check=False).stdout.strip()


def test_who_is_imported_logs_in_and_is_listed(hub):
    user = at_work(hub, "anna")
    found = person(hub, "anna")
    assert found["access"] == "listed"
    assert found["servers"] == [""]
    assert found["account"] == "jupyter-anna"
    assert user.execute("1 + 1") == "2"


def test_who_is_removed_from_the_list_is_out_at_reload_without_logging_in(hub):
    user = at_work(hub, "bert")
    token = user.hub_api("POST", "/users/bert/tokens", json={}).json()["token"]
    hub.run("setsid -f runuser -u jupyter-bert -- sleep 3600")
    hub.run("tljh-config remove-item users.allowed bert && tljh-config reload")
    assert not is_logged_in(user)
    answer = user.http.get(
        f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"}, cookies={}
    )
    assert answer.status_code == 403
    assert "inactive" in hub.run("systemctl is-active jupyter-bert.service", check=False).stdout
    assert runs(hub, "jupyter-bert") == ""
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)


def test_an_account_that_is_out_is_refused_by_sshd_and_su(hub):
    at_work(hub, "cora")
    assert hub.run("runuser -l jupyter-cora -c true", check=False).code == 0
    hub.run("tljh user remove cora")
    # The check of accounts that sshd makes, whatever the key says.
    assert hub.run("su jupyter-cora -c true < /dev/null", check=False).code != 0
    expiry = hub.run("getent shadow jupyter-cora").stdout.split(":")[7]
    assert expiry == "1"
    assert hub.run("stat -c %a /home/jupyter-cora").stdout.strip() == "700"


def test_who_was_added_in_the_hub_alone_can_be_removed(hub):
    at_work(hub, "dora")
    hub.run("tljh user add --admin boss")
    boss = claim_account(hub, hub.url, "boss", PASSWORD)
    boss.login(PASSWORD)
    assert boss.hub_api("POST", "/users/emil").status_code == 201
    assert person(hub, "emil")["access"] == "added"
    hub.run("tljh user remove emil")
    assert person(hub, "emil") is None
    assert boss.hub_api("GET", "/users/dora").status_code == 200


def test_a_former_administrator_loses_hub_and_sudo_at_once_open_shells_included(hub):
    user = at_work(hub, "fred")
    user.stop_server()
    hub.run("tljh-config add-item users.admin fred && tljh-config reload")
    user.start_server()
    assert "the-end-0" in user.terminal("sudo -n true")
    assert user.hub_api("GET", "/users").status_code == 200
    # A shell with the old groups, outside the server: as an ssh session is one.
    hub.run(
        "setsid -f runuser -u jupyter-fred -- bash -c 'sleep 3600; sudo -n touch /fred-was-root'"
    )
    hub.run("tljh-config remove-item users.admin fred && tljh-config reload")
    assert runs(hub, "jupyter-fred") == ""
    assert user.hub_api("GET", "/users").status_code == 403
    assert is_logged_in(user)
    user.start_server()
    assert "the-end-0" not in user.terminal("sudo -n true")


def test_a_ban_and_its_end(hub):
    user = at_work(hub, "gina")
    hub.run("tljh user disable gina")
    assert not is_logged_in(user)
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)
    assert person(hub, "gina")["is_locked"]
    hub.run("tljh user enable gina")
    user.http.cookies.clear()
    user.login(PASSWORD)
    assert not person(hub, "gina")["is_locked"]
    user.start_server()
    assert user.execute("1 + 1") == "2"


def test_a_home_is_archived_before_it_is_deleted(hub):
    user = at_work(hub, "hugo")
    user.terminal("echo precious > ~/thesis.txt; ln -s /etc ~/etc-link")
    told = tljh(hub, "remove hugo --delete-home")
    archive = told["users"][0]["archive"]
    assert hub.run("test -e /home/jupyter-hugo", check=False).code == 1
    assert hub.run("test -e /etc/passwd", check=False).code == 0
    assert hub.run(f"stat -c %a {archive}").stdout.strip() == "600"
    shown = hub.run(f"tar -xzOf {archive} jupyter-hugo/thesis.txt").stdout
    assert shown.strip() == "precious"


def test_a_new_password_works_and_the_old_one_does_not(hub):
    user = at_work(hub, "ines")
    password = tljh(hub, "reset-password ines --log-out")["password"]
    assert not is_logged_in(user)
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)
    user.login(password)


def test_what_one_puts_into_a_shared_folder_the_others_edit_checkpoints_included(hub):
    hub.run("tljh user add jan kim --group pupils && tljh share add course --group pupils")
    shown = hub.run("tljh share list").stdout
    assert "jupyter-jan" in shown and "jupyter-kim" in shown
    jan, kim = at_work(hub, "jan"), at_work(hub, "kim")
    # Both were made before there was a folder: it is linked once they have homes.
    hub.run("tljh share add course --group pupils")
    cell = {"cell_type": "code", "id": "a", "source": "1", "metadata": {}, "outputs": []}
    book = {
        "type": "notebook",
        "content": {
            "cells": [{**cell, "execution_count": None}],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        },
    }
    path = "/contents/course/lesson.ipynb"
    assert jan.api("PUT", path, json=book).status_code == 201
    assert jan.api("POST", f"{path}/checkpoints").status_code == 201
    assert kim.api("GET", path).status_code == 200
    assert kim.api("PUT", path, json=book).status_code == 200
    assert kim.api("POST", f"{path}/checkpoints").status_code == 201
    assert jan.api("PUT", path, json=book).status_code == 200
    assert "the-end-0" in kim.terminal("cd ~/course && umask 077 && echo 1 > a && mkdir b")
    assert "the-end-0" in jan.terminal("cd ~/course && echo 2 >> a && touch b/c && rm a")
    anna = at_work(hub, "anna")
    assert "the-end-0" not in anna.terminal("ls /srv/shared/course")


def test_the_last_in_the_list_removed_means_nobody_not_everybody(hub):
    for one in tljh(hub, "list"):
        if one["access"] == "listed" and not one["is_admin"]:
            hub.run(f"tljh-config remove-item users.allowed {one['name']}")
    hub.run("tljh-config reload")
    HubUser(hub.url, "anna").login(PASSWORD, expected=403)
    HubUser(hub.url, "a-stranger").login(PASSWORD, expected=403)


ODD = ("a@b.org", "x.mount", "12345", "Grüße-学", "with+plus", "a=b", "two words", "n" * 120)


def test_odd_names_get_an_account_a_server_and_a_way_out(hub):
    names = " ".join(f"'{name}'" for name in ODD)
    added = tljh(hub, f"add {names} --generate")["users"]
    people = []
    for one in added:
        user = HubUser(hub.url, one["name"])
        user.login(one["password"])
        user.start_server()
        assert user.execute("1 + 1") == "2"
        people.append(user)
    accounts = {person(hub, one["name"])["account"] for one in added}
    assert len(accounts) == len(ODD)
    hub.run(f"tljh user remove {names} --delete-home")
    assert not any(is_logged_in(user) for user in people)
    assert hub.run("systemctl list-units --no-legend 'jupyter-*X40*'").stdout.strip() == ""


def test_a_second_server_with_a_name_leaves_the_first_alone(hub):
    hub.run("tljh user add lena")
    first = at_work(hub, "lena")
    kernel = first.start_kernel()
    first.execute("x = 41", kernel)
    hub.run("tljh-config set JupyterHub.allow_named_servers true && tljh-config reload")
    second = HubUser(hub.url, "lena", "project-2", first.http)
    second.start_server()
    assert second.execute("6 * 7") == "42"
    assert first.execute("x + 1", kernel) == "42"
    units = hub.run("systemctl list-units --no-legend --plain 'jupyter-lena*'").stdout
    assert [line.split()[0] for line in units.splitlines()] == [
        "jupyter-lena--project-2.service",
        "jupyter-lena.service",
    ]
    second.stop_server()
    assert first.execute("x + 1", kernel) == "42"
    second.start_server()
    hub.run("tljh-config remove-item users.allowed lena && tljh-config reload")
    assert runs(hub, "jupyter-lena") == ""


def test_first_logins_at_once_wait_for_whoever_edits_the_accounts(hub):
    names = [f"crowd-{number}" for number in range(6)]
    hub.run(f"tljh user add {' '.join(names)}")
    # As vipw and an upgrade of a package lock it: the lock of /etc/passwd that useradd respects.
    hold = "import ctypes, time; ctypes.CDLL(None).lckpwdf(); print(1, flush=True); time.sleep(4)"
    hub.run(
        f'setsid -f python3 -c "{hold}" > /tmp/held && '
        "timeout 10 sh -c 'until test -s /tmp/held; do sleep 0.1; done'"
    )
    with ThreadPoolExecutor(len(names)) as pool:
        people = list(pool.map(lambda name: at_work(hub, name), names))
    assert len({user.execute("import os; os.getuid()") for user in people}) == len(names)
    for user in people:
        user.stop_server()


def test_a_class_of_500_is_imported_after_a_try(hub):
    lines = "name,groups\\n" + "".join(f"pupil-{number},pupils\\n" for number in range(500))
    hub.run(f"printf '{lines}' > /tmp/class.csv")
    tried = tljh(hub, "import /tmp/class.csv --dry-run")
    assert (tried["new"], tried["done"]) == (500, False)
    assert person(hub, "pupil-7") is None
    began_s = time.monotonic()
    assert tljh(hub, "import /tmp/class.csv")["done"]
    took_s = time.monotonic() - began_s
    assert person(hub, "pupil-499")["access"] == "listed"
    assert tljh(hub, "import /tmp/class.csv")["known"] == 500
    user = HubUser(hub.url, "pupil-250")
    user.login(PASSWORD)
    user.start_server()
    assert "pupils" in user.terminal("id -nG")
    print(f"import of 500: {took_s:.1f} s")
    assert took_s < 300


def test_a_bad_line_stops_an_import_and_is_named(hub):
    hub.run("printf 'name\\nok-name\\na;id\\n' > /tmp/bad.csv")
    refused = hub.run("tljh user import /tmp/bad.csv", check=False)
    assert refused.code == 1
    assert "line 3" in refused.stdout
    assert person(hub, "ok-name") is None


def test_the_export_is_what_import_reads(hub):
    hub.run("tljh user export > /tmp/out.csv")
    tried = tljh(hub, "import /tmp/out.csv --dry-run")
    assert tried["invalid"] == 0
    assert tried["new"] == 0
