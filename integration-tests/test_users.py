"""Users who are added, changed and removed, and their rights on a real machine.

All tests share a hub, and each has its own users.
"""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from session import HubUser, claim_account, import_users
from waiting import wait_until

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
NAMES = ("anna", "bert", "cora", "dora", "fred", "gina", "hugo", "ines", "jan", "kim")


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a hub with the users NAMES; `hub.url` is its address for this computer."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    import_users(machine, NAMES, PASSWORD)
    return machine


def tljh(hub, command: str):
    return json.loads(hub.run(f"tljh user {command} --json").stdout)


def listed(hub, name: str):
    """Return a user's entry in `tljh user list`, None where there is none."""
    return next((user for user in tljh(hub, "list") if user["name"] == name), None)


def with_server(hub, name: str) -> HubUser:
    """Log a user in and start the server."""
    user = HubUser(hub.url, name)
    user.login(PASSWORD)
    user.start_server()
    return user


def is_logged_in(user: HubUser) -> bool:
    return user.hub_api("GET", "/user").status_code == 200


def processes_of(hub, account: str) -> str:
    return hub.run(f"ps -o pid,cmd --no-headers -U {account}", check=False).stdout.strip()


def test_an_imported_user_logs_in_and_is_listed(hub):
    user = with_server(hub, "anna")
    entry = listed(hub, "anna")
    assert entry["access"] == "listed"
    assert entry["servers"] == [""]
    assert entry["account"] == "jupyter-anna"
    assert user.execute("1 + 1") == "2"


def test_a_user_who_is_removed_from_the_list_is_out_at_reload(hub):
    user = with_server(hub, "bert")
    token = user.hub_api("POST", "/users/bert/tokens", json={}).json()["token"]
    hub.run("setsid -f runuser -u jupyter-bert -- sleep 3600")
    hub.run("tljh-config remove-item users.allowed bert && tljh-config reload")
    assert not is_logged_in(user)
    response = user.http.get(
        f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"}, cookies={}
    )
    assert response.status_code == 403
    assert "inactive" in hub.run("systemctl is-active jupyter-bert.service", check=False).stdout
    assert processes_of(hub, "jupyter-bert") == ""
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)


def test_a_removed_users_account_is_refused_by_sshd_and_su(hub):
    with_server(hub, "cora")
    assert hub.run("runuser -l jupyter-cora -c true", check=False).code == 0
    hub.run("tljh user remove cora")
    # sshd makes the same check of the account, also for a login by key.
    assert hub.run("su jupyter-cora -c true < /dev/null", check=False).code != 0
    expiry = hub.run("getent shadow jupyter-cora").stdout.split(":")[7]
    assert expiry == "1"
    assert hub.run("stat -c %a /home/jupyter-cora").stdout.strip() == "700"


def test_a_user_who_was_added_in_the_hub_can_be_removed(hub):
    with_server(hub, "dora")
    hub.run("tljh user add --admin boss")
    boss = claim_account(hub, hub.url, "boss", PASSWORD)
    boss.login(PASSWORD)
    assert boss.hub_api("POST", "/users/emil").status_code == 201
    assert listed(hub, "emil")["access"] == "added"
    hub.run("tljh user remove emil")
    assert listed(hub, "emil") is None
    assert boss.hub_api("GET", "/users/dora").status_code == 200


def test_a_former_admin_loses_hub_and_sudo_at_once_open_shells_included(hub):
    user = with_server(hub, "fred")
    user.stop_server()
    hub.run("tljh-config add-item users.admin fred && tljh-config reload")
    user.start_server()
    assert "the-end-0" in user.terminal("sudo -n true")
    assert user.hub_api("GET", "/users").status_code == 200
    # A shell with the old groups outside the server, like an ssh session.
    hub.run(
        "setsid -f runuser -u jupyter-fred -- bash -c 'sleep 3600; sudo -n touch /fred-was-root'"
    )
    hub.run("tljh-config remove-item users.admin fred && tljh-config reload")
    assert processes_of(hub, "jupyter-fred") == ""
    assert user.hub_api("GET", "/users").status_code == 403
    assert is_logged_in(user)
    user.start_server()
    assert "the-end-0" not in user.terminal("sudo -n true")


def test_a_ban_and_its_end(hub):
    user = with_server(hub, "gina")
    hub.run("tljh user disable gina")
    assert not is_logged_in(user)
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)
    assert listed(hub, "gina")["is_locked"]
    hub.run("tljh user enable gina")
    user.http.cookies.clear()
    user.login(PASSWORD)
    assert not listed(hub, "gina")["is_locked"]
    user.start_server()
    assert user.execute("1 + 1") == "2"


def test_a_home_is_archived_before_it_is_deleted(hub):
    user = with_server(hub, "hugo")
    user.terminal("echo precious > ~/thesis.txt; ln -s /etc ~/etc-link")
    removal = tljh(hub, "remove hugo --delete-home")
    archive = removal["users"][0]["archive"]
    assert hub.run("test -e /home/jupyter-hugo", check=False).code == 1
    assert hub.run("test -e /etc/passwd", check=False).code == 0
    assert hub.run(f"stat -c %a {archive}").stdout.strip() == "600"
    content = hub.run(f"tar -xzOf {archive} jupyter-hugo/thesis.txt").stdout
    assert content.strip() == "precious"


def test_a_new_password_works_and_the_old_one_does_not(hub):
    user = with_server(hub, "ines")
    password = tljh(hub, "reset-password ines --log-out")["password"]
    assert not is_logged_in(user)
    user.http.cookies.clear()
    user.login(PASSWORD, expected=403)
    user.login(password)
    assert "Change your password" in user.http.get(f"{hub.url}/hub/home").text


def test_who_waits_after_bad_logins_need_not_after_a_new_password(hub):
    hub.run("tljh user add lotte")
    lotte = HubUser(hub.url, "lotte")
    lotte.login(tljh(hub, "reset-password lotte")["password"])
    lotte.http.cookies.clear()
    for _ in range(5):
        lotte.login("wrong", expected=403)
    lotte.login("wrong", expected=429)
    lotte.login(tljh(hub, "reset-password lotte")["password"])


def test_a_class_is_given_passwords_and_links_as_csv_once(hub):
    hub.run("printf 'mara\\nmilo,\\n' > /root/m.csv")
    assert "2 users have no password yet" in hub.run("tljh user import /root/m.csv").stderr
    assert listed(hub, "mara")["has_password"] is False
    rows = hub.run("tljh user import /root/m.csv --generate").stdout.split()
    assert rows[0] == "name,password"
    password = dict(row.split(",") for row in rows[1:])["mara"]
    HubUser(hub.url, "mara").login(password)
    assert listed(hub, "milo")["has_password"] is True
    assert hub.run("tljh user import /root/m.csv --generate").stdout.split() == ["name,password"]
    assert hub.run(f"grep -rq '{password}' /opt/tljh/state/journal", check=False).code == 1
    hub.run("printf 'nils\\n' > /root/n.csv")
    output = hub.run("tljh user import /root/n.csv --claim-links").stdout
    assert "/hub/claim?name=nils&token=" in output
    HubUser(hub.url, "nils").login("a stranger's", expected=403)


def test_users_edit_each_others_files_in_a_shared_folder_checkpoints_included(hub):
    hub.run("tljh user add jan kim --group pupils && tljh share add course --group pupils")
    listing = hub.run("tljh share list").stdout
    assert "jupyter-jan" in listing and "jupyter-kim" in listing
    jan, kim = with_server(hub, "jan"), with_server(hub, "kim")
    # The folder is linked into homes that exist, and theirs were made after it.
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
    anna = with_server(hub, "anna")
    assert "the-end-0" not in anna.terminal("ls /srv/shared/course")


def test_a_share_that_is_added_again_without_a_group_keeps_its_group(hub):
    hub.run("groupadd --force pupils && tljh share add kept --group pupils && tljh share add kept")
    shares = json.loads(hub.run("tljh share list --json").stdout)
    [share] = [share for share in shares if share["name"] == "kept"]
    assert share["group"] == "pupils"


def test_commands_work_with_the_path_of_cron(hub):
    def isolation() -> str:
        return hub.run("systemctl show -P InvocationID tljh-isolation").stdout

    short = "PATH=/usr/bin:/bin"
    status = hub.run("tljh status", check=False)
    assert hub.run(f"{short} tljh status", check=False).stdout == status.stdout
    before = isolation()
    hub.run(f"{short} tljh-config reload", timeout_s=180)
    hub.run(f"{short} tljh user add otto --group sbin-group", timeout_s=180)
    assert isolation() == before
    assert "sbin-group" in listed(hub, "otto")["groups"]
    assert hub.run("getent group sbin-group").stdout
    installer = "cd / && /opt/tljh/hub/bin/python3 -m tljh.installer --admin admin --plan"
    assert "error" not in hub.run(f"{short}; export PATH; {installer}", check=False).stderr


def test_a_group_that_gives_root_is_shown_wherever_it_was_joined(hub, cleanup):
    hub.run("groupadd --force docker && tljh user add oswin")
    hub.run("useradd -M jupyter-oswin || true; gpasswd --add jupyter-oswin docker")
    cleanup.callback(hub.run, "gpasswd --delete jupyter-oswin docker")
    assert "docker (gives root)" in hub.run("tljh user list").stdout
    doctor = hub.run("tljh doctor", check=False).stdout
    assert "jupyter-oswin can become root: it is in the group docker" in doctor


def test_an_empty_list_of_users_admits_nobody(hub, restored_config):
    for user in tljh(hub, "list"):
        if user["access"] == "listed" and not user["is_admin"]:
            hub.run(f"tljh-config remove-item users.allowed {user['name']}")
    hub.run("tljh-config reload")
    HubUser(hub.url, "anna").login(PASSWORD, expected=403)
    HubUser(hub.url, "a-stranger").login(PASSWORD, expected=403)


ODD_NAMES = ("a@b.org", "x.mount", "12345", "Grüße-学", "with+plus", "a=b", "two words", "n" * 120)


def test_users_with_odd_names_get_an_account_and_a_server_and_can_be_removed(hub):
    names = " ".join(f"'{name}'" for name in ODD_NAMES)
    added = tljh(hub, f"add {names} --generate")["users"]
    users = []
    for entry in added:
        user = HubUser(hub.url, entry["name"])
        user.login(entry["password"])
        user.start_server()
        assert user.execute("1 + 1") == "2"
        users.append(user)
    accounts = {listed(hub, user.name)["account"] for user in users}
    assert len(accounts) == len(ODD_NAMES)
    hub.run(f"tljh user remove {names} --delete-home")
    assert not any(is_logged_in(user) for user in users)
    assert hub.run("systemctl list-units --no-legend 'jupyter-*X40*'").stdout.strip() == ""


def test_a_second_server_with_a_name_leaves_the_first_alone(hub, restored_config):
    hub.run("tljh user add lena")
    first = with_server(hub, "lena")
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
    assert processes_of(hub, "jupyter-lena") == ""


# Holds the lock of /etc/passwd, as vipw and upgrades of packages do, until another process waits
# for it. /proc/locks marks a waiting process by "->", with the number of the lock that is held.
# useradd gives up after 15 s.
HOLD_ACCOUNTS = """
import ctypes, os, time
ctypes.CDLL(None).lckpwdf()
print("locked", flush=True)
def is_awaited():
    locks = [line.split() for line in open("/proc/locks")]
    own = {lock[0] for lock in locks if lock[1] != "->" and lock[4] == str(os.getpid())}
    return any(lock[1] == "->" and lock[0] in own for lock in locks)
deadline = time.monotonic() + 10
while not is_awaited() and time.monotonic() < deadline:
    time.sleep(0.1)
"""


def test_first_logins_at_once_wait_for_the_lock_of_the_account_files(hub, cleanup):
    names = [f"crowd-{number}" for number in range(6)]
    hub.run(f"tljh user add {' '.join(names)}")
    holder = hub.popen(f"exec python3 -c '{HOLD_ACCOUNTS}'", stdout=subprocess.PIPE, text=True)
    with holder, ThreadPoolExecutor(len(names)) as pool:
        assert holder.stdout.readline() == "locked\n"
        users = list(pool.map(lambda name: with_server(hub, name), names))
        for user in users:
            cleanup.callback(user.stop_server)
    assert len({user.execute("import os; os.getuid()") for user in users}) == len(names)


def test_a_class_of_500_is_imported_after_a_dry_run(hub):
    lines = "name,groups\\n" + "".join(f"pupil-{number},pupils\\n" for number in range(500))
    hub.run(f"printf '{lines}' > /tmp/class.csv")
    dry_run = tljh(hub, "import /tmp/class.csv --dry-run")
    assert (dry_run["new"], dry_run["done"]) == (500, False)
    assert listed(hub, "pupil-7") is None
    assert tljh(hub, "import /tmp/class.csv")["done"]
    assert listed(hub, "pupil-499")["access"] == "listed"
    assert tljh(hub, "import /tmp/class.csv")["known"] == 500
    user = HubUser(hub.url, "pupil-250")
    user.login(PASSWORD)
    user.start_server()
    assert "pupils" in user.terminal("id -nG")


def test_a_bad_line_stops_an_import_and_is_named(hub):
    hub.run("printf 'name\\nok-name\\na;id\\n' > /tmp/bad.csv")
    refused = hub.run("tljh user import /tmp/bad.csv", check=False)
    assert refused.code == 1
    assert "line 3" in refused.stdout
    assert listed(hub, "ok-name") is None


def test_the_export_is_what_import_reads(hub):
    hub.run("tljh user export > /tmp/out.csv")
    dry_run = tljh(hub, "import /tmp/out.csv --dry-run")
    assert dry_run["invalid"] == 0
    assert dry_run["new"] == 0


@pytest.mark.parametrize("command", ["{} 2>&1 | head -1", "{} >&- 2>&-", "{} > /dev/full 2>&1"])
def test_an_import_whose_output_ends_is_complete(hub, command):
    names = [f"out{len(command)}{number}" for number in range(3)]
    hub.run("cat > /srv/class.csv", input="name\n" + "".join(f"{name}\n" for name in names))
    hub.run(command.format("tljh user import /srv/class.csv"), check=False, timeout_s=180)
    assert [listed(hub, name)["access"] for name in names] == ["listed"] * 3
    assert "pending" not in hub.run("ls /opt/tljh/state/journal").stdout
    assert "Nothing" in hub.run("tljh-config reload").stdout


@pytest.mark.parametrize("signal", ["HUP", "TERM"])
def test_after_a_session_that_drops_the_next_command_finds_nothing_half_changed(hub, signal):
    script = Path(__file__).with_name("hang_up.py").read_text()
    hub.run("cat > /srv/hang_up.py", input=script)
    ended = hub.run(f"python3 /srv/hang_up.py {signal} tljh user add olga --group painters")
    assert ended.stdout.split() != ["0"]
    hub.run("tljh-config reload")
    assert listed(hub, "olga") is None
    assert hub.run("getent group painters", check=False).code != 0
    assert "pending" not in hub.run("ls /opt/tljh/state/journal").stdout


def become_hostile(hub, name: str) -> None:
    """Stop a server's main process, which then accepts connections and never answers.

    Another process in the unit ignores SIGTERM.
    """
    user = with_server(hub, name)
    user.terminal("(trap '' TERM HUP; setsid sh -c 'while :; do sleep 1; done' &> /dev/null &)")
    account = f"jupyter-{name}"
    pid = hub.run(f"systemctl show -p MainPID --value {account}.service").stdout.strip()
    hub.run(f"runuser -u {account} -- kill -STOP {pid}")


@pytest.mark.long
def test_servers_that_never_answer_and_do_not_stop_hold_up_no_change(hub, restored_config):
    hostile = ("lara", "mona", "nils", "olaf")
    import_users(hub, hostile, PASSWORD)
    hub.run("tljh-config add-item users.admin mona && tljh-config reload")
    for name in hostile:
        become_hostile(hub, name)
    # The hub now checks its servers, and waits for their answers.
    hub.run("systemctl restart jupyterhub")
    hub.run("tljh-config set limits.memory 700M && tljh-config reload", timeout_s=120)
    limit = hub.run("systemctl show -p MemoryMax --value jupyter-olaf.service").stdout
    assert int(limit) == 700 << 20
    hub.run("groupadd painting; tljh-config add-item users.extra_user_groups.painting olaf")
    hub.run("tljh-config reload", timeout_s=120)
    assert "painting" in hub.run("id -nG jupyter-olaf").stdout
    for change, account in (
        ("tljh user disable lara", "jupyter-lara"),
        ("tljh-config remove-item users.admin mona && tljh-config reload", "jupyter-mona"),
        ("tljh user remove nils", "jupyter-nils"),
    ):
        hub.run(change, timeout_s=180)
        assert processes_of(hub, account) == ""
    assert "jupyterhub-admins" not in hub.run("id -nG jupyter-mona").stdout
    assert listed(hub, "lara")["is_locked"] and listed(hub, "nils")["is_locked"]
    hub.run("tljh-config set services.cull.max_age 1 && tljh-config set services.cull.every 2")
    hub.run("tljh-config reload", timeout_s=120)
    wait_until(
        lambda: processes_of(hub, "jupyter-olaf") == "", "olaf's server to end", timeout_s=240
    )
