"""A hub that serves its API only, on a machine: reload, status, tokens, announcement."""

from __future__ import annotations

import json

import pytest
import requests


def ask(machine, path: str, token: str = "") -> requests.Response:
    headers = {"Authorization": f"token {token}"} if token else {}
    return requests.get(f"http://{machine.address()}{path}", headers=headers, timeout=30)


@pytest.fixture
def api_only(installed_shared, restored_config):
    machine = installed_shared
    machine.run(
        "systemd-run --unit launcher --collect --working-directory=/usr/share/doc/base-files "
        "/opt/tljh/hub/bin/python -m http.server 9000 --bind 127.0.0.1"
    )
    machine.run("tljh-config set proxy.extra_routes '{/: \"http://127.0.0.1:9000\"}'")
    machine.run("tljh-config set hub.mode api-only")
    machine.run("tljh-config reload", timeout_s=180)
    yield machine
    machine.run("systemctl stop launcher", check=False)


def test_an_api_only_hub_reloads_reports_and_takes_tokens(api_only):
    assert "does not answer" not in api_only.run("tljh status", check=False).stdout
    assert ask(api_only, "/hub/api/health").status_code == 200
    assert ask(api_only, "/copyright").status_code == 200
    assert ask(api_only, "/hub/login").status_code == 404
    created = json.loads(api_only.run("tljh token create admin --scopes list:users --json").stdout)
    assert ask(api_only, "/hub/api/users", created["token"]).status_code == 200
    api_only.run(f"tljh token revoke admin {created['id']}")
    assert ask(api_only, "/hub/api/users", created["token"]).status_code == 403


def test_stopped_servers_have_a_page_and_folders_are_served_without_the_hub(
    installed_shared, restored_config, cleanup
):
    machine = installed_shared
    machine.run("install -d /srv/site && echo handout > /srv/site/a.txt")
    machine.run("ln -s /etc/passwd /srv/site/out.txt")
    machine.run("tljh-config set proxy.extra_routes '{/docs: /srv/site}'")
    machine.run("tljh-config set hub.mode api-only")
    machine.run("tljh-config set pages.stopped_server.title 'Session over'")
    machine.run("tljh-config reload", timeout_s=180)
    assert machine.run("tljh user claim admin", check=False).code == 1
    cleanup.callback(machine.run, "systemctl start jupyterhub")
    machine.run("systemctl stop jupyterhub")
    page = ask(machine, "/user/ann/lab")
    assert page.status_code == 424 and "Session over" in page.text
    assert ask(machine, "/").status_code == 404
    assert ask(machine, "/docs/a.txt").text == "handout\n"
    assert ask(machine, "/docs").url.endswith("/docs/")
    assert ask(machine, "/docs/out.txt").status_code == 404
    machine.run("systemctl start jupyterhub")
    machine.run("chmod 777 /srv/site")
    assert ask(machine, "/docs/a.txt").status_code == 403
    refused = machine.run("tljh-config reload", check=False, timeout_s=180)
    assert refused.code == 1 and "others than root can write to /srv/site" in refused.stderr
    machine.run("rm -r /srv/site")


def test_an_announcement_needs_no_restart(installed_shared):
    machine = installed_shared
    pid = machine.run("systemctl show -p MainPID jupyterhub").stdout
    machine.run("tljh announce 'exam <today>' --until 2h")
    assert "exam &lt;today&gt;" in ask(machine, "/hub/login").text
    machine.run("tljh announce --remove")
    assert "exam" not in ask(machine, "/hub/login").text
    assert machine.run("systemctl show -p MainPID jupyterhub").stdout == pid


def test_a_role_that_would_end_the_hub_is_refused_before_a_restart(
    installed_shared, restored_config
):
    machine = installed_shared
    pid = machine.run("systemctl show -p MainPID jupyterhub").stdout
    machine.run("tljh-config add-item JupyterHub.load_roles '{name: abc, scopes: [read:user]}'")
    refused = machine.run("tljh-config reload", check=False, timeout_s=180)
    assert refused.code == 1
    assert "read:user" in refused.stderr and "did you mean read:users?" in refused.stderr
    assert machine.run("systemctl show -p MainPID jupyterhub").stdout == pid
