"""What plugins and scripts for The Littlest JupyterHub rely on: hooks, names, file formats."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from machine.install import bootstrap_command
from session import HubUser

pytestmark = pytest.mark.machine

HUB_PYTHON = "/opt/tljh/hub/bin/python3"
CERTIFICATE = """
import os, ssl
from subprocess import check_call
from tljh.config import CONFIG_FILE, reload_component, set_config_value
directory = "/etc/hub-tls"
os.makedirs(directory, mode=0o700)
key, cert = directory + "/ssl.key", directory + "/ssl.cert"
check_call(["openssl", "req", "-nodes", "-newkey", "rsa:2048", "-x509", "-days", "1",
            "-keyout", key, "-out", cert, "-subj", "/CN=hub.example.org"])
set_config_value(CONFIG_FILE, "https.enabled", True)
set_config_value(CONFIG_FILE, "https.tls.key", key)
set_config_value(CONFIG_FILE, "https.tls.cert", cert)
reload_component("proxy")
assert ssl.get_server_certificate(("127.0.0.1", 443)) == open(cert).read()
os.remove(cert)
set_config_value(CONFIG_FILE, "https.enabled", False)
reload_component("proxy")
"""
TRAEFIK = """
import os
from tljh.config import CONFIG_DIR, STATE_DIR, reload_component
for directory in (CONFIG_DIR + "/traefik_config.d", STATE_DIR + "/rules"):
    os.makedirs(directory, exist_ok=True)
with open(CONFIG_DIR + "/traefik_config.d/extra.toml", "w") as file:
    file.write('[entryPoints.alsoHub]\\naddress = "127.0.0.1:9999"\\n')
with open(STATE_DIR + "/rules/extra_rules.toml", "w") as file:
    file.write('''
[http.routers.here]
rule = "PathPrefix(`/hub`)"
entryPoints = ["alsoHub"]
service = "hub"
[[http.services.hub.loadBalancer.servers]]
url = "http://127.0.0.1:15001"
''')
reload_component("proxy")
"""


@pytest.fixture(scope="module")
def hub(installed_shared):
    """Run the bootstrap a second time, with a plugin and an admin's password."""
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    machine.copy_in(Path(__file__).parent / "plugin", "/srv/course")
    bootstrap = bootstrap_command("--admin", "boss:boss", "--plugin", "/srv/course")
    machine.output = machine.run(bootstrap, timeout_s=600).stdout
    return machine


def python(hub, code: str) -> str:
    return hub.run(f"cd /root && {HUB_PYTHON} -", input=code, timeout_s=300).stdout


def status(hub, url: str) -> str:
    return hub.run(f"curl -s -o /dev/null -w '%{{http_code}}' {url}", check=False).stdout


def test_every_hook_of_a_plugin_takes_effect(hub, cleanup):
    assert hub.run("test -e /usr/games/sl").code == 0
    hub.run(f"{HUB_PYTHON} -c 'import there'")
    hub.run("/opt/tljh/user/bin/python3 -c 'import there, ipywidgets'")
    assert hub.run("cat /srv/tljh/post-install").stdout == "done"
    assert "present: true" in hub.run("cat /opt/tljh/config/config.yaml").stdout
    cleanup.callback(hub.run, "userdel -r user1", check=False)
    python(hub, "from tljh import user; user.ensure_user('user1')")
    assert hub.run("cat /root/new-user").stdout == "user1"
    assert hub.run("stat -c %U:%a /home/user1").stdout == "user1:700\n"


def test_the_authenticator_of_a_plugin_logs_users_in(hub):
    response = requests.get(f"{hub.url}/hub/tmplogin", allow_redirects=False, timeout=30)
    assert (response.status_code, response.headers["Location"]) == (302, "/hub/spawn")


@pytest.fixture
def no_traefik_drop_ins_afterwards(hub):
    yield
    hub.run(
        "rm /opt/tljh/config/traefik_config.d/extra.toml /opt/tljh/state/rules/extra_rules.toml"
    )
    hub.run("tljh-config reload")


def test_traefiks_api_needs_a_password_and_drop_ins_are_served(hub, no_traefik_drop_ins_afterwards):
    assert status(hub, "http://127.0.0.1:8099/dashboard/") == "401"
    assert status(hub, "http://127.0.0.1:9999/hub/login") == "000"
    python(hub, TRAEFIK)
    assert status(hub, "http://127.0.0.1:9999/hub/health") == "200"


def test_a_certificate_is_set_in_the_order_of_the_guides_and_removed_with_its_file_gone(hub):
    python(hub, CERTIFICATE)
    assert status(hub, "http://127.0.0.1/hub/health") == "200"


# After all tests that use the plugin: to install it again would take as long as the module.
def test_a_plugin_is_removed_with_its_hub_packages_in_one_reload(hub):
    hub.run("tljh-config remove-item plugins.packages /srv/course && tljh-config reload")
    assert hub.run(f"{HUB_PYTHON} -c 'import there'", check=False).code == 1
    assert "Nothing to do" in hub.run("tljh-config reload").stdout


def test_an_admins_short_password_from_the_command_line_works(hub):
    assert "Log in there as boss." in hub.output
    HubUser(hub.url, "boss").login("wrong", expected=403)
    HubUser(hub.url, "boss").login("boss")
