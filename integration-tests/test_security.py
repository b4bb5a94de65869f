"""Secrets, file modes and sudo on an installed machine."""

from __future__ import annotations

import pytest

from session import claim_account

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-battery"

# Guesses a password at the hub's own port, with a new X-Forwarded-For each time.
GUESSES = """
cd "$(mktemp -d)" && for number in 1 2 3 4 5 6 7; do
    ask() { curl -s -b jar -c jar -H "X-Forwarded-For: 203.0.113.$number" -o /dev/null \
        "$@" http://127.0.0.1:15001/hub/login; }
    rm -f jar; ask
    ask -w '%{http_code}\\n' --data-urlencode "_xsrf=$(awk '$6 == "_xsrf" {print $7}' jar)" \
        -d 'username=stranger&password=a-guess'
done
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    return installed_shared


@pytest.fixture(scope="module")
def user(hub):
    """Start the admin's server and HTTPS: the hub then has every kind of secret."""
    url = f"http://{hub.address()}"
    admin = claim_account(hub, url, "admin", PASSWORD)
    admin.login(PASSWORD)
    admin.start_server()
    hub.run("tljh-config set https.mode internal && tljh-config set https.enabled true")
    hub.run("tljh-config reload", timeout_s=180)
    return admin


@pytest.fixture(scope="module")
def secrets(hub, user):
    """Read the secrets, by name."""
    state = "/opt/tljh/state"
    names = ("traefik-api.secret", "jupyterhub_cookie_secret", "hub-api.secret")
    values = {name: hub.run(f"cat {state}/{name}").stdout.strip() for name in names}
    values["authority's key"] = hub.run(f"sed -n 2p {state}/internal-ca/ca.key").stdout.strip()
    values["password"] = PASSWORD
    server = hub.run("systemctl show -P MainPID jupyter-admin").stdout.strip()
    environment = hub.run(f"tr '\\0' '\\n' < /proc/{server}/environ").stdout
    values["server's token"] = environment.partition("JUPYTERHUB_API_TOKEN=")[2].split("\n")[0]
    assert all(len(value) > 15 for value in values.values()), values
    return values


def test_state_and_config_are_roots_alone(hub, user):
    paths = "/opt/tljh/state /opt/tljh/config /opt/tljh/installer.log"
    assert hub.run(f"find {paths} -perm /077 ! -type l").stdout == ""
    assert hub.run(f"find {paths} ! -user root").stdout == ""


def test_nothing_of_the_installation_can_be_written_by_others(hub, user):
    assert hub.run("find /opt/tljh -perm /022 ! -type l").stdout == ""
    assert hub.run("find /opt/tljh ! -user root").stdout == ""


def test_traefiks_files_are_closed_to_other_users(hub, user):
    assert hub.run("find /var/lib/tljh-traefik -perm /007 ! -type l").stdout == ""
    assert hub.run("find /var/lib/tljh-traefik -perm /020 ! -type l").stdout == ""


def test_no_secret_is_in_a_command_line(hub, secrets):
    lines = hub.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False).stdout
    assert "/opt/tljh/user/bin/python" in lines
    assert {name for name, value in secrets.items() if value in lines} == set()


def test_no_secret_is_in_a_log_nor_in_what_systemd_shows_to_all_users(hub, secrets):
    text = hub.run("journalctl -b --no-pager -o cat; cat /opt/tljh/installer.log").stdout
    text += hub.run("systemctl show 'jupyter*' traefik tljh-*").stdout
    assert "jupyterhub.service" in text
    assert {name for name, value in secrets.items() if value in text} == set()


def test_sudo_accepts_the_rule_for_admins(hub):
    assert hub.run("stat -c '%a %U:%G' /etc/sudoers.d/jupyterhub-admins").stdout.strip() == (
        "440 root:root"
    )
    assert "parsed OK" in hub.run("visudo -c").stdout


@pytest.fixture
def broken_sudo_rule(hub, cleanup):
    """Break the rule for sudo in the installed package."""
    package = "$(readlink -f /opt/tljh/hub)/lib/python3*/site-packages/tljh"
    module = hub.run(f"grep -rl --include=*.py 'NOPASSWD: ALL' {package}").stdout.strip()
    hub.run(f"cp -a {module} {module}.saved")
    cleanup.callback(hub.run, f"mv {module}.saved {module}")
    hub.run(f"sed -i 's/ALL = (ALL) NOPASSWD: ALL/ALL = NOPASSWD ALL/' {module}")


def test_a_rule_that_sudo_cannot_read_is_never_written(hub, broken_sudo_rule):
    before = hub.run("cat /etc/sudoers.d/jupyterhub-admins").stdout
    done = hub.run("tljh-config reload", check=False, timeout_s=180)
    assert done.code == 1
    assert "are refused b" in done.stderr and "sudoers.d" in done.stderr
    assert hub.run("cat /etc/sudoers.d/jupyterhub-admins").stdout == before


def test_an_address_that_somebody_claims_at_the_hubs_own_port_is_not_believed(hub):
    statuses = hub.run("runuser -u nobody -- bash", input=GUESSES).stdout.split()
    assert statuses == ["403"] * 5 + ["429"] * 2
