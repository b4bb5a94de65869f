"""Services of config.yaml on a machine: login by OAuth, crash, isolation, rollback, removal."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from session import HubUser, import_users
from waiting import wait_until

pytestmark = pytest.mark.machine

EXAMPLE = Path(__file__).parents[1] / "examples/services/board.py"
UNIT = "tljh-service-board.service"
PASSWORD = "correct-horse-9"


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return a hub with the example as a service, open to ann's group, and two users."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    machine.run("mkdir -p /srv/board")
    machine.copy_in(EXAMPLE, "/srv/board/board.py")
    machine.run("chmod 644 /srv/board/board.py")
    import_users(machine, ("ann", "bob"), PASSWORD)
    machine.run("tljh-config set groups.tutors '[ann]'")
    machine.run("tljh-config set services.board.command '[python, /srv/board/board.py]'")
    machine.run("tljh-config set services.board.port 9100")
    machine.run("tljh-config add-item services.board.groups tutors")
    machine.run("tljh-config reload", timeout_s=180)
    return machine


def log_in(hub, name: str) -> HubUser:
    user = HubUser(hub.url, name)
    user.login(PASSWORD)
    return user


def open_board(hub, user: HubUser):
    return user.http.get(f"{hub.url}/services/board/", timeout=30)


def board_state(hub) -> str:
    return json.loads(hub.run("tljh service list --json").stdout)[0]["state"]


def main_pid(hub, unit: str) -> str:
    return hub.run(f"systemctl show -p MainPID --value {unit}").stdout.strip()


def test_a_member_of_its_group_is_logged_in_by_the_hub_and_others_are_refused(hub):
    ann, bob = log_in(hub, "ann"), log_in(hub, "bob")
    page = open_board(hub, ann)
    assert page.status_code == 200 and "Hello ann" in page.text
    assert "/services/board/" in ann.http.get(f"{hub.url}/hub/home").text
    xsrf = page.text.partition('name="_xsrf" value="')[2].partition('"')[0]
    form = {"text": "exam <today>", "_xsrf": xsrf}
    assert "ann: exam &lt;today&gt;" in ann.http.post(page.url, data=form, timeout=30).text
    assert open_board(hub, bob).status_code == 403
    assert "/services/board/" not in bob.http.get(f"{hub.url}/hub/home").text


def test_its_token_is_nowhere_but_in_files_of_root(hub):
    token = hub.run("tljh service token board").stdout.strip()
    assert len(token) == 64
    for command in ("tljh-config show --all", "ps -ef", f"systemctl cat {UNIT}", "tljh logs hub"):
        assert token not in hub.run(command).stdout
    assert hub.run("stat -c %a:%U /opt/tljh/state/service-board.*").stdout.split() == [
        "600:root",
        "600:root",
    ]


def test_users_programs_do_not_reach_its_port(hub):
    account = "jupyter-ann"
    log_in(hub, "ann").start_server()
    refused = hub.run(f"runuser -u {account} -- curl -sS http://127.0.0.1:9100/", check=False)
    assert refused.code != 0
    assert hub.run("curl -sS http://127.0.0.1:9100/", check=False).code == 0


def test_the_hub_outlives_its_crash_and_it_outlives_the_hubs_restart(hub):
    hubs, boards = main_pid(hub, "jupyterhub"), main_pid(hub, UNIT)
    hub.run(f"kill -9 {boards}")
    wait_until(lambda: board_state(hub) == "answers", "the service runs again", timeout_s=60)
    assert "tljh-service-board" in hub.run("tljh service list").stdout.partition("last failure")[2]
    hub.run(f"systemctl stop {UNIT}")
    assert "the service board is inactive" in hub.run("tljh status", check=False).stdout
    hub.run("tljh service restart board")
    assert main_pid(hub, "jupyterhub") == hubs
    boards = main_pid(hub, UNIT)
    hub.run("systemctl restart jupyterhub", timeout_s=120)
    assert main_pid(hub, UNIT) == boards
    assert "Hello ann" in open_board(hub, log_in(hub, "ann")).text


def test_a_service_that_ends_at_once_is_rolled_back_and_one_that_is_away_does_not_stop_the_hub(hub):
    hub.run("""tljh-config set services.broken.command "[python, -c, 'raise SystemExit(7)']" """)
    failed = hub.run("tljh-config reload", check=False, timeout_s=180)
    assert failed.code == 1
    assert "the service broken ended right after its start" in failed.stderr
    assert hub.run("id tljh-svc-broken", check=False).code != 0
    hub.run("tljh-config unset services.broken")
    hub.run("tljh-config set services.away.url http://127.0.0.1:9999")
    hub.run("tljh-config reload", timeout_s=180)
    assert "the service away does not answer" in hub.run("tljh status", check=False).stdout
    hub.run("tljh-config unset services.away && tljh-config reload", timeout_s=180)


def test_a_removed_service_leaves_no_unit_account_token_or_route(hub):
    token = hub.run("tljh service token board").stdout.strip()
    ann = log_in(hub, "ann")
    hub.run("tljh-config unset services.board && tljh-config reload", timeout_s=180)
    assert hub.run(f"systemctl cat {UNIT}", check=False).code != 0
    assert hub.run("id tljh-svc-board", check=False).code != 0
    assert "board" not in hub.run("ls /opt/tljh/state").stdout
    assert "Hello" not in open_board(hub, ann).text
    answer = hub.run(
        f"curl -s -o /dev/null -w '%{{http_code}}' -H 'Authorization: token {token}' "
        "http://127.0.0.1:15001/hub/api/user"
    )
    assert answer.stdout == "403"
    assert hub.run("stat -c %a:%U /var/lib/tljh-services/board").stdout.strip() == "700:root"
    assert hub.run("tljh status", check=False).code == 0
