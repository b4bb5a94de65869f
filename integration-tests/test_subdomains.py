"""A host name for each person: browsers keep what the pages of one may do from all others."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest
import requests

from session import HubUser

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
SETTINGS = {
    "https.tls.cert": "/root/chain.pem",
    "https.tls.key": "/root/key.pem",
    "https.enabled": "true",
    "JupyterHub.subdomain_host": "https://hub.test",
    "JupyterHub.cookie_host_prefix_enabled": "true",
}
NAMES = ("ann", "anna.lee", "a@b.org")


@pytest.fixture
def names_resolve(installed, monkeypatch):
    """hub.test and all below it are the machine, as a wildcard in the DNS makes it."""
    address, real = installed.address(), socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        mine = isinstance(host, str) and f".{host}".endswith(".hub.test")
        return real(address if mine else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def ask_as_browsers_do(user: HubUser, host: str, path: str) -> int:
    """The status of a page, asked for with the cookies of that very host: requests sends more."""
    own = {
        one.name: one.value
        for one in user.http.cookies
        if path.startswith(one.path)
        and (one.domain == host or (one.domain_specified and f".{host}".endswith(one.domain)))
    }
    url = f"https://{host}{path}"
    return requests.get(url, cookies=own, verify=False, timeout=30).status_code


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_each_person_has_a_host_of_the_own_and_no_session_of_the_hub_there(
    installed, names_resolve
):
    lines = "name,password\\n" + "".join(f"{name},{PASSWORD}\\n" for name in NAMES)
    installed.run(f"printf '{lines}' | tljh user import -")
    installed.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 90 -subj /CN=hub.test"
        " -addext 'subjectAltName=DNS:hub.test,DNS:*.hub.test'"
        " -keyout /root/key.pem -out /root/chain.pem 2>&1"
    )
    for key, value in SETTINGS.items():
        installed.run(f"tljh-config set {key} {value}")
    installed.run("tljh-config reload")
    assert json.loads(installed.run("tljh status --json", check=False).stdout)["status"] != "broken"
    hosts = set()
    for name in NAMES:
        user = HubUser("https://hub.test", name, verify=False)
        user.login(PASSWORD)
        assert user.hub_api("POST", f"/users/{quote(name)}/server").status_code in (201, 202)
        user.await_server(ready=True)
        page = user.http.get("https://hub.test/hub/user-redirect/lab")
        assert page.status_code == 200, page.text[-1500:]
        host = page.url.split("/")[2]
        assert host.endswith(".hub.test")
        hosts.add(host)
        # What a page there asks the hub, it asks as nobody.
        assert ask_as_browsers_do(user, "hub.test", "/hub/api/user") == 200
        assert ask_as_browsers_do(user, host, "/hub/api/user") == 403
    assert len(hosts) == len(NAMES)
