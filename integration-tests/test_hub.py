"""What users and admins do with a hub: log in, start a server, compute, administer, reboot."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
import requests

from session import HubUser, claim_account
from waiting import wait_until

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a machine with a hub; `hub.url` is its address for this computer."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    return machine


@pytest.fixture(scope="module")
def admin(hub):
    """Claim the admin's account and log in."""
    user = claim_account(hub, hub.url, "admin", PASSWORD)
    user.login(PASSWORD)
    return user


@pytest.fixture(scope="module")
def learner(hub, admin):
    """Add a plain user as the admin, and start the user's server."""
    assert admin.hub_api("POST", "/users/learner").status_code == 201
    user = HubUser(hub.url, "learner")
    user.login(PASSWORD)
    user.start_server()
    return user


def wait_until_fine(hub):
    wait_until(lambda: hub.run("tljh status", check=False).code == 0, "tljh status is fine")


@pytest.fixture
def unclaimed_admin(hub):
    """Add an admin who has not opened the claim link, and remove the user after the test."""
    hub.run("tljh user add --admin boss")
    yield "boss"
    hub.run("tljh user remove boss")


def test_a_stranger_cannot_take_an_admins_name(hub, unclaimed_admin):
    stranger = HubUser(hub.url, unclaimed_admin)
    assert unclaimed_admin in hub.run("tljh status --json", check=False).stdout
    page = stranger.login("stranger-pw-1", expected=403)
    assert "claim link" in page.text


def test_a_claim_link_works_once(hub, admin):
    again = hub.run("tljh user claim admin", check=False)
    assert again.code == 1
    assert "has a password already" in again.stderr


def test_a_name_that_was_not_added_cannot_log_in(hub, admin):
    HubUser(hub.url, "nobody-added-me").login(PASSWORD, expected=403)


def test_a_server_runs_as_the_users_own_account_in_the_users_slice(hub, learner):
    unit = "jupyter-learner.service"
    properties = hub.run(f"systemctl show -p Slice,UID,ActiveState {unit}").stdout
    assert "Slice=jupyter.slice" in properties
    assert "ActiveState=active" in properties
    assert learner.execute("import getpass; getpass.getuser()") == "'jupyter-learner'"


def test_a_kernel_computes(learner):
    assert learner.execute("5 * 4") == "20"


def test_a_terminal_of_a_user_has_no_sudo(learner):
    assert "the-end-0" not in learner.terminal("sudo -n id -u")


def test_a_terminal_of_an_admin_has_sudo(admin, cleanup):
    cleanup.callback(admin.stop_server)
    admin.start_server()
    assert re.search(r"uid=0\(root\)", admin.terminal("sudo -n id"))


def test_the_user_environment_comes_first_on_the_path_and_belongs_to_root(learner):
    assert "/opt/tljh/user/bin/python" in learner.terminal("command -v python")
    assert "the-end-0" not in learner.terminal("touch /opt/tljh/user/mine")


@pytest.mark.parametrize(
    "name",
    ["a#b.txt", "50%.txt", "100%25.txt", "two words.txt", "naïve-学.txt", "a;b?c.txt", "q'\".txt"],
)
def test_file_names_with_odd_characters_go_through_the_proxy(learner, cleanup, name):
    path = f"/contents/{quote(name)}"
    cleanup.callback(learner.api, "DELETE", path)
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
    readable = hub.run("find /opt/tljh/config /opt/tljh/state -perm /077 ! -type l").stdout
    assert readable == ""


def test_no_secret_is_in_a_log_or_on_a_command_line(hub, learner):
    secret = hub.run("cat /opt/tljh/state/traefik-api.secret").stdout.strip()
    token = hub.run("cat /opt/tljh/state/jupyterhub_cookie_secret").stdout.strip()
    text = hub.run("journalctl --no-pager; ps axww; cat /opt/tljh/installer.log").stdout
    for value in (secret, token, PASSWORD):
        assert value not in text


def test_traefik_restarts_without_the_hub_and_routes_survive(hub, learner):
    before = hub.run("systemctl show -p MainPID jupyterhub").stdout
    hub.run("systemctl restart traefik")
    assert learner.api("GET", "/status").status_code == 200
    assert hub.run("systemctl show -p MainPID jupyterhub").stdout == before


def test_while_the_hub_keeps_dying_a_page_says_so_and_servers_go_on(hub, learner, cleanup):
    loop = "while sleep 0.5; do systemctl kill --signal=KILL jupyterhub; done"
    hub.run(f"systemd-run --unit kill-loop /bin/sh -c '{loop}'")
    cleanup.callback(hub.run, "systemctl stop kill-loop", check=False)
    browser = {"Accept": "text/html"}

    def ask(path: str, **headers: str) -> requests.Response | None:
        try:
            return requests.get(f"{hub.url}{path}", headers=headers, timeout=3)
        except requests.Timeout:
            return None  # It came before the proxy missed the hub.

    def is_page() -> bool:
        answer = ask("/hub/login", **browser)
        return answer is not None and answer.status_code == 503

    wait_until(is_page, "the page of a hub that is away", 60)

    # Whenever a hub gets as far as writing its routes, Traefik counts from the start.
    def says(path: str, text: str, **headers: str) -> bool:
        answer = ask(path, **headers)  # A `Response` of 503 is false.
        return answer is not None and answer.status_code == 503 and text in answer.text

    wait_until(lambda: says("/hub/home", "restarting", **browser), "the page of that hub", 60)
    wait_until(lambda: says("/hub/api/users", "restarting"), "JSON for a program", 60)
    learner.execute("1 + 1")
    hub.run("systemctl stop kill-loop")
    # Status reports the count of restarts. A restart by hand ends it, but not while systemd itself
    # waits to restart the unit.
    hub.run("systemctl reset-failed jupyterhub; systemctl restart jupyterhub")
    wait_until_fine(hub)


def test_who_shuts_the_hub_down_gets_it_back(hub, admin):
    assert admin.hub_api("POST", "/shutdown", json={"servers": False}).status_code in (202, 200)
    for _ in range(20):
        answer = requests.get(f"{hub.url}/hub/login", headers={"Accept": "text/html"}, timeout=60)
        assert answer.status_code == 200 or "The hub is restarting" in answer.text
    wait_until_fine(hub)


def test_status_is_fine_and_counts_the_running_servers(hub, learner):
    status = json.loads(hub.run("tljh status --json").stdout)
    assert status["status"] == "fine"
    assert status["servers"] >= 1


def test_an_upgraded_library_restarts_the_hub_but_no_server_and_not_the_proxy(
    hub, learner, cleanup
):
    cleanup.callback(hub.run, "apt-get purge -qy needrestart")
    kernel = learner.start_kernel()
    learner.execute("x = 41", kernel)
    units = "systemctl show -p MainPID jupyter-learner traefik"
    before = hub.run(units).stdout
    hub.install_packages("needrestart")
    hub.run("apt-get install -qy --reinstall libc6")
    hub_before = hub.run("systemctl show -p MainPID jupyterhub").stdout
    hub.run("needrestart -r a")
    # All three use the old library, and needrestart restarted the hub only.
    assert hub.run("systemctl show -p MainPID jupyterhub").stdout != hub_before
    assert hub.run(units).stdout == before
    wait_until_fine(hub)
    assert learner.execute("x + 1", kernel) == "42"


@pytest.fixture
def culling_at_once(hub, restored_config):
    """Cull servers that were idle for 3 seconds."""
    hub.run("tljh-config set services.cull.timeout 3")
    hub.run("tljh-config set services.cull.every 1")
    hub.run("tljh-config reload")


@pytest.fixture
def restarted_learner(learner):
    """Start the learner's server again after a test that ends it."""
    yield learner
    learner.start_server()


# The last fixture is torn down first: the server starts when it is not culled any more.
def test_an_idle_server_is_culled(restarted_learner, culling_at_once):
    restarted_learner.await_server(ready=False, timeout_s=90)


def test_a_reboot_brings_back_what_was_applied_not_what_was_edited(installed):
    user = claim_account(installed, f"http://{installed.address()}", "admin", PASSWORD)
    user.login(PASSWORD)
    user.start_server()
    installed.run("tljh-config set limits.memory 3G")
    installed.restart()
    wait_until_fine(installed)
    assert "3G" not in installed.run("cat /opt/tljh/state/applied/limits.json").stdout
    # A container may come back with another address.
    returning = HubUser(f"http://{installed.address()}", "admin")
    returning.login(PASSWORD)
    returning.start_server()
    assert returning.execute("6 * 7") == "42"


DROP_IN = "/opt/tljh/config/jupyterhub_config.d/last.py"


@pytest.fixture
def with_drop_in(hub, cleanup):
    """Return a function that writes a drop-in, which is removed and unapplied after the test."""

    def write(text: str) -> None:
        cleanup.callback(hub.run, f"rm -f {DROP_IN} && tljh-config reload", timeout_s=180)
        hub.run(["sh", "-c", f"printf %s '{text}' > {DROP_IN}"])

    return write


def fail_to_start(user: HubUser, reason: str) -> None:
    """Start a user's server, and wait for the page that says why it did not start."""
    assert user.hub_api("POST", user._server_api).status_code in (201, 202, 500)
    page = f"{user.url}/hub/spawn-pending/{user.name}"
    wait_until(lambda: reason in user.http.get(page).text, f"the page with {reason!r}")


@pytest.fixture
def newcomer(hub, admin, request):
    name = f"new{len(request.node.name)}"
    assert admin.hub_api("POST", f"/users/{name}").status_code == 201
    user = HubUser(hub.url, name)
    user.login(PASSWORD)
    return user


def test_a_full_home_is_named_in_the_page_and_in_the_log(hub, newcomer, cleanup):
    newcomer.start_server()
    newcomer.stop_server()
    account = f"jupyter-{newcomer.name}"
    hub.run(f"mount -t tmpfs -o size=64k tmpfs /home/{account} && chown {account} /home/{account}")
    cleanup.callback(hub.run, f"umount -l /home/{account}")
    hub.run(f"head -c 200k /dev/zero > /home/{account}/full", check=False)
    fail_to_start(newcomer, "no disk space left")
    assert "no disk space left" in hub.run(f"tljh logs --user {newcomer.name}").stdout


def test_a_hook_that_fails_is_in_the_log_of_the_user(hub, newcomer, with_drop_in):
    hook = 'def hook(spawner):\n    raise RuntimeError("no quota")\n\n'
    with_drop_in(f"{hook}c.Spawner.pre_spawn_hook = hook\n")
    hub.run("tljh-config reload", timeout_s=180)
    assert newcomer.hub_api("POST", newcomer._server_api).status_code in (201, 202, 500)
    log = f"tljh logs --user {newcomer.name}"
    wait_until(lambda: "RuntimeError: no quota" in hub.run(log, check=False).stdout, "the reason")


def test_check_repeats_the_warnings_of_a_drop_in_that_is_applied(hub, with_drop_in):
    with_drop_in("c.NotebookApp.answer = 42\n")
    reloaded = hub.run("tljh-config reload", timeout_s=180)
    assert "NotebookApp" in reloaded.stdout + reloaded.stderr
    checked = hub.run("tljh-config check")
    assert "NotebookApp" in checked.stdout and "line 1" in checked.stdout


def test_a_template_that_fails_is_blamed_and_not_the_proxy(hub, admin, with_drop_in):
    hub.run("mkdir -p /srv/pages && printf '{{ no.such.thing }}' > /srv/pages/login.html")
    with_drop_in('c.JupyterHub.template_paths = ["/srv/pages"]\n')
    refused = hub.run("tljh-config reload", check=False, timeout_s=180)
    assert refused.code == 1
    assert "login.html, line 1" in refused.stderr and "is undefined" in refused.stderr
    assert "traefik" not in refused.stderr
    hub.run("echo '{% endblok %}' > /srv/pages/login.html")
    refused = hub.run("tljh-config reload", check=False, timeout_s=180)
    assert refused.code == 1
    assert "/srv/pages/login.html, line 1" in refused.stderr and "endblok" in refused.stderr


def test_a_drop_in_does_not_take_the_role_of_the_culler_whose_token_stays_out_of_the_journal(
    hub, admin, with_drop_in, restored_config
):
    hub.run("tljh-config set services.cull.every 5")
    with_drop_in(
        'c.JupyterHub.load_roles = [\n    {"name": "idle-culler", "scopes": ["self"], '
        '"services": ["cull-idle"]}\n]\n'
    )
    hub.run("tljh-config reload", timeout_s=180)
    asks = "journalctl -u jupyterhub -o cat --since -60s | grep -q '200 GET.*users.*cull-idle'"
    wait_until(lambda: hub.run(asks, check=False).code == 0, "an answer to the idle culler")
    assert "culler" not in hub.run("tljh doctor", check=False).stdout
    environ = hub.run("cat /proc/$(pgrep -of jupyterhub_idle_culler)/environ").stdout.split("\0")
    token = next(x.partition("=")[2] for x in environ if x.startswith("JUPYTERHUB_API_TOKEN="))
    assert token and hub.run(f"journalctl -b | grep -q {token}", check=False).code == 1
