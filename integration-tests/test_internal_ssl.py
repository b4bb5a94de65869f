"""JupyterHub's internal_ssl on a machine: a switch with running servers, services, renewal."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"
STORE = "/opt/tljh/state/internal-ssl"
PLAIN = "curl -s -m 5 -o /dev/null -w '%{http_code}' http://127.0.0.1:15001/hub/health"
SERVICE = """
import http.server, os
from jupyterhub.services.auth import HubAuth

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(repr(HubAuth().user_for_token(os.environ["JUPYTERHUB_API_TOKEN"])).encode())

http.server.HTTPServer(("127.0.0.1", 9100), Handler).serve_forever()
"""


@dataclass
class Running:
    """A user with a kernel in which `x` is 41."""

    user: HubUser
    kernel: str

    @classmethod
    def start(cls, url, name):
        user = HubUser(url, name)
        user.login(PASSWORD)
        user.start_server()
        running = cls(user, user.start_kernel())
        user.execute("x = 41", running.kernel)
        return running

    def lives_on(self):
        """Return whether the kernel has its state, also for a browser that has to log in."""
        other = HubUser(self.user.url, self.user.name)
        other.login(PASSWORD)
        # The server asks the hub who that is.
        assert other.http.get(f"{other.server}/lab").status_code == 200
        return all(user.execute("x + 1", self.kernel) == "42" for user in (self.user, other))


def switch(machine, *commands):
    for command in commands:
        machine.run(f"tljh-config {command}")
    return machine.run("tljh-config reload", timeout_s=180).stdout


@pytest.fixture(scope="module")
def url(installed_shared):
    import_users(installed_shared, ["ann", "bob"], PASSWORD)
    return f"http://{installed_shared.address()}"


@pytest.fixture(scope="module")
def earlier(installed_shared, url):
    """Return a user whose server started before internal_ssl was switched on, as it is now."""
    running = Running.start(url, "ann")
    installed_shared.run("install -m 644 /dev/stdin /srv/board.py", input=SERVICE)
    command = "[/opt/tljh/hub/bin/python, /srv/board.py]"
    switch(
        installed_shared,
        f"set services.board '{{command: {command}, port: 9100, scopes: [list:users]}}'",
        "set JupyterHub.internal_ssl true",
    )
    yield running
    switch(installed_shared, "unset services.board", "unset JupyterHub.internal_ssl")


def test_a_server_of_before_lives_on_and_the_next_one_speaks_tls(installed_shared, url, earlier):
    machine = installed_shared
    assert earlier.lives_on()
    status = machine.run("tljh status").stdout
    assert "1 server speaks plain HTTP: ann" in status
    assert machine.run(PLAIN).stdout == "200"
    earlier.user.stop_server()
    earlier.user.start_server()
    assert earlier.user.execute("6 * 7") == "42"
    # The hub's port and the server's answer nobody without a certificate.
    port = machine.run(
        "grep -o 'https://127.0.0.1:[0-9]*' /var/lib/tljh-traefik/dynamic/rules.toml | "
        "grep -v :15001 | head -1"
    ).stdout.strip()
    wait_until(lambda: machine.run(PLAIN, check=False).code != 0, "a port without plain HTTP")
    for address in ("http://127.0.0.1:15001", "https://127.0.0.1:15001", port):
        refused = machine.run(f"curl -sk -m 5 -o /dev/null {address}/hub/health", check=False)
        assert refused.code != 0, address
    assert "plain HTTP" not in machine.run("tljh status").stdout
    assert "internal" not in machine.run("tljh doctor", check=False, timeout_s=120).stdout


@pytest.fixture(scope="module")
def bob(installed_shared, url, earlier):
    """Return a user whose server started with internal_ssl."""
    return Running.start(url, "bob")


def test_a_key_is_readable_by_its_owner_only(installed_shared, bob, earlier):
    path = "/run/jupyter-bob.service/internal-ssl-keyfile.pem"
    owner_and_mode = installed_shared.run(f"stat -c '%U %a' {path}").stdout.split()
    assert owner_and_mode == ["jupyter-bob", "400"]
    assert "PRIVATE KEY" in bob.user.terminal(f"cat {path}")
    others = f"{path} {STORE}/hub-ca/hub-ca.key /run/tljh-services/board/*keyfile.pem"
    earlier.user.start_server()
    assert "PRIVATE KEY" not in earlier.user.terminal(f"cat {others}")


def test_a_service_and_the_culler_reach_the_hub(installed_shared, url, earlier):
    machine = installed_shared
    assert "'name': 'board'" in machine.run(f"curl -s {url}/services/board/").stdout
    log = machine.run("journalctl -u jupyterhub --no-pager -o cat | grep cull-idle@").stdout
    assert "200 GET" in log


def test_renewed_authorities_are_those_that_running_servers_trust(installed_shared, bob):
    machine = installed_shared
    machine.run(
        f"cd {STORE} && for name in *-ca; do openssl x509 -in $name/$name.crt "
        "-signkey $name/$name.key -days 100 -out /root/short.crt && "
        "cp /root/short.crt $name/$name.crt; done"
    )
    machine.run("systemctl restart jupyterhub", timeout_s=120)
    ends = machine.run(f"openssl x509 -in {STORE}/hub-ca/hub-ca.crt -checkend 100000000 -noout")
    assert ends.code == 0
    assert bob.lives_on()


def test_switched_off_a_server_with_tls_lives_on(installed_shared, bob):
    machine = installed_shared
    plan = machine.run("tljh-config set JupyterHub.internal_ssl false && tljh-config plan").stdout
    assert "servers speak TLS as at their start: " in plan and "bob" in plan
    try:
        switch(machine)
        assert bob.lives_on()
        assert machine.run(PLAIN).stdout == "200"
        bob.user.stop_server()
        bob.user.start_server()
        assert bob.user.execute("6 * 7") == "42"
    finally:
        switch(machine, "set JupyterHub.internal_ssl true")
