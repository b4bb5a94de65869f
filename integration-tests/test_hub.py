"""The main job, as its users do it: log in, start a server, compute, administer, reboot."""

from __future__ import annotations

import json
import re
import time
from urllib.parse import quote

import pytest

from session import HubUser, claim_account

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"


@pytest.fixture(scope="module")
def hub(installed_shared):
    """A machine with a hub on it; `hub.url` is where it answers from here."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    return machine


@pytest.fixture(scope="module")
def admin(hub):
    """The administrator, after claiming the account and logging in."""
    user = claim_account(hub, hub.url, "admin", PASSWORD)
    user.login(PASSWORD)
    return user


@pytest.fixture(scope="module")
def learner(hub, admin):
    """A plain user, added by the administrator, with a running server."""
    assert admin.hub_api("POST", "/users/learner").status_code == 201
    user = HubUser(hub.url, "learner")
    user.login(PASSWORD)
    user.start_server()
    return user


def eventually(condition, what, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.2)


def test_a_stranger_cannot_take_the_administrators_name(hub):
    stranger = HubUser(hub.url, "admin")
    if "admin" not in hub.run("tljh status --json", check=False).stdout:
        pytest.fail("the claim is gone already; this test comes first")
    page = stranger.login("stranger-pw-1", expected=403)
    assert "claim link" in page.text


def test_a_claim_link_works_once(hub, admin):
    again = hub.run("tljh user claim admin", check=False)
    assert again.code == 1
    assert "has a password already" in again.stderr


def test_a_name_that_was_not_added_cannot_log_in(hub, admin):
    HubUser(hub.url, "nobody-added-me").login(PASSWORD, expected=403)


def test_a_server_runs_as_an_account_of_its_own_in_the_users_slice(hub, learner):
    unit = "jupyter-learner.service"
    shown = hub.run(f"systemctl show -p Slice,UID,ActiveState {unit}").stdout
    assert "Slice=jupyter.slice" in shown
    assert "ActiveState=active" in shown
    assert learner.execute("import getpass; getpass.getuser()") == "'jupyter-learner'"


def test_a_kernel_computes(learner):
    assert learner.execute("5 * 4") == "20"


def test_a_terminal_of_a_user_has_no_sudo(learner):
    shown = learner.terminal("sudo -n id -u")
    assert "the-end-0" not in shown


def test_a_terminal_of_an_administrator_has_sudo(admin):
    admin.start_server()
    assert re.search(r"uid=0\(root\)", admin.terminal("sudo -n id"))
    admin.stop_server()


def test_the_user_environment_comes_first_on_the_path_and_belongs_to_root(learner):
    assert "/opt/tljh/user/bin/python" in learner.terminal("command -v python")
    shown = learner.terminal("touch /opt/tljh/user/mine")
    assert "the-end-0" not in shown


@pytest.mark.parametrize(
    "name",
    ["a#b.txt", "50%.txt", "100%25.txt", "two words.txt", "naïve-学.txt", "a;b?c.txt", "q'\".txt"],
)
def test_file_names_with_odd_characters_go_through_the_proxy(learner, name):
    path = f"/contents/{quote(name)}"
    body = {"type": "file", "format": "text", "content": name}
    assert learner.api("PUT", path, json=body).status_code == 201
    read = learner.api("GET", path)
    assert read.status_code == 200
    assert read.json()["content"] == name
    raw = learner.http.get(f"{learner.server}/files/{quote(name)}")
    assert raw.content.decode() == name


def test_homes_are_closed_to_others(hub, learner):
    assert hub.run("stat -c %a /home/jupyter-learner").stdout.strip() == "700"


def test_nothing_of_the_configuration_or_state_is_open_to_others(hub, learner):
    found = hub.run("find /opt/tljh/config /opt/tljh/state -perm /077 ! -type l").stdout
    assert found == ""


def test_no_secret_stands_in_the_journal_or_on_a_command_line(hub, learner):
    secret = hub.run("cat /opt/tljh/state/traefik-api.secret").stdout.strip()
    token = hub.run("cat /opt/tljh/state/jupyterhub_cookie_secret").stdout.strip()
    shown = hub.run("journalctl --no-pager; ps axww; cat /opt/tljh/installer.log").stdout
    for value in (secret, token, PASSWORD):
        assert value not in shown


def test_traefik_restarts_without_the_hub_and_routes_survive(hub, learner):
    before = hub.run("systemctl show -p MainPID jupyterhub").stdout
    hub.run("systemctl restart traefik")
    assert learner.api("GET", "/status").status_code == 200
    assert hub.run("systemctl show -p MainPID jupyterhub").stdout == before


def test_status_is_fine_and_says_how_many_servers_run(hub, learner):
    shown = json.loads(hub.run("tljh status --json").stdout)
    assert shown["status"] == "fine"
    assert shown["servers"] >= 1


def test_an_upgraded_library_restarts_nobodys_server_and_not_the_proxy(hub, learner):
    kernel = learner.start_kernel()
    learner.execute("x = 41", kernel)
    units = "systemctl show -p MainPID jupyter-learner traefik"
    before = hub.run(units).stdout
    hub.run("apt-get update -q && apt-get install -qy --no-install-recommends needrestart")
    hub.run("apt-get install -qy --reinstall libc6")
    hub_before = hub.run("systemctl show -p MainPID jupyterhub").stdout
    hub.run("needrestart -r a")
    # It saw that all three still use the old library.
    assert hub.run("systemctl show -p MainPID jupyterhub").stdout != hub_before
    assert hub.run(units).stdout == before
    eventually(lambda: hub.run("tljh status", check=False).code == 0, "the hub is back")
    assert learner.execute("x + 1", kernel) == "42"


def test_an_idle_server_is_culled(hub, learner):
    hub.run("tljh-config set services.cull.timeout 3")
    hub.run("tljh-config set services.cull.every 1")
    hub.run("tljh-config reload")
    try:
        learner.await_server(ready=False, timeout_s=90)
    finally:
        hub.run("tljh-config unset services.cull.timeout")
        hub.run("tljh-config unset services.cull.every")
        hub.run("tljh-config reload")


def test_a_reboot_brings_everything_back_with_what_ran_not_with_what_was_edited(hub, learner):
    hub.run("tljh-config set limits.memory 3G")
    hub.restart()
    eventually(
        lambda: hub.run("tljh status", check=False).code == 0, "the hub is well after a reboot"
    )
    assert "3G" not in hub.run("cat /opt/tljh/state/applied/limits.json").stdout
    # A container may come back under another address.
    again = HubUser(f"http://{hub.address()}", "learner")
    again.login(PASSWORD)
    again.start_server()
    assert again.execute("6 * 7") == "42"
    hub.run("tljh-config unset limits.memory")
