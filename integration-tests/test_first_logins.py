"""First logins: claim codes as cloud-init gives them, names that are taken, foreign homes."""

import json
import secrets

import pytest

from machine.install import CHANNEL, bootstrap_command
from session import HubUser
from waiting import wait_until

PASSWORD = "first-password-9"


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Return the machine; `hub.url` is its address for this computer."""
    installed_shared.url = f"http://{installed_shared.address()}"
    return installed_shared


@pytest.fixture
def claim_code(hub, cleanup):
    """Return a claim code in a file that only root can read."""
    code = secrets.token_hex(16)
    cleanup.callback(hub.run, "rm -f /root/claim-code")
    hub.run("umask 077; cat > /root/claim-code", input=code)
    return code


def test_a_claim_code_from_user_data_sets_the_first_password_once(hub, claim_code, cleanup):
    cleanup.callback(hub.run, "tljh user remove grace", timeout_s=180)
    arguments = ("--admin", "grace", "--claim-code-file", "/root/claim-code")
    command = bootstrap_command(*arguments, f"--conda-channel=file://{CHANNEL}")
    installed = hub.run(command, timeout_s=600)

    assert claim_code not in installed.stdout + installed.stderr
    assert claim_code not in hub.run("cat /opt/tljh/installer.log").stdout
    page = f"{hub.url}/hub/claim?name=grace&token="
    assert HubUser(hub.url, "grace").http.get(f"{page}{'0' * 32}").status_code >= 400
    HubUser(hub.url, "grace").login(PASSWORD, expected=403)
    assert HubUser(hub.url, "grace").claim(f"{page}{claim_code}", PASSWORD).status_code == 302
    HubUser(hub.url, "grace").login(PASSWORD)
    assert 'name="again"' not in HubUser(hub.url, "grace").http.get(f"{page}{claim_code}").text


def test_adding_an_admin_as_a_user_says_that_the_name_stays_an_admin(hub, restored_config):
    hub.run("tljh user add --admin heidi", timeout_s=180)
    added = hub.run("tljh user add heidi", timeout_s=180)
    assert "heidi is an admin already, and stays one" in added.stdout
    assert "heidi" not in hub.run("tljh-config get users.allowed", check=False).stdout


def test_a_home_of_another_owner_is_named_at_the_start_and_by_doctor(hub, restored_config, cleanup):
    cleanup.callback(hub.run, "rm -rf /home/jupyter-ivan; userdel jupyter-ivan", check=False)
    hub.run("tljh user import -", input=f"name,password\nivan,{PASSWORD}\n", timeout_s=180)
    ivan = HubUser(hub.url, "ivan")
    ivan.login(PASSWORD)
    ivan.start_server()
    ivan.stop_server()
    hub.run("chown -R 4321:4321 /home/jupyter-ivan")

    sentence = "the home of jupyter-ivan belongs to 4321"
    assert ivan.hub_api("POST", "/users/ivan/server").status_code in (201, 202, 500)
    page = f"{hub.url}/hub/spawn-pending/ivan"
    wait_until(lambda: sentence in ivan.http.get(page).text, "the page with the reason")
    assert sentence in hub.run("tljh logs --user ivan").stdout
    doctor = json.loads(hub.run("tljh doctor --json", check=False, timeout_s=180).stdout)
    assert sentence in json.dumps(doctor)
