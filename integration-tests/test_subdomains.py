"""A host name for each user: browsers then keep the pages of one user apart from the others."""

from __future__ import annotations

import json
import socket
from urllib.parse import quote

import pytest
import requests

from session import HubUser, import_users

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
SETTINGS = {
    "https.tls.cert": "/root/chain.pem",
    "https.tls.key": "/root/key.pem",
    "https.enabled": "true",
    "JupyterHub.subdomain_host": "https://hub.test",
}
NAMES = ("ann", "anna.lee", "a@b.org")


@pytest.fixture
def names_resolve(installed, monkeypatch):
    """Resolve hub.test and all names below it to the machine, as a wildcard in the DNS does."""
    address, original = installed.address(), socket.getaddrinfo

    def getaddrinfo(host, *rest, **options):
        is_below = isinstance(host, str) and f".{host}".endswith(".hub.test")
        return original(address if is_below else host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def status_in_browser(user: HubUser, host: str, path: str) -> int:
    """Return a page's status with the cookies that a browser sends; requests would send more."""
    cookies = {
        cookie.name: cookie.value
        for cookie in user.http.cookies
        if path.startswith(cookie.path)
        and (
            cookie.domain == host
            or (cookie.domain_specified and f".{host}".endswith(cookie.domain))
        )
    }
    url = f"https://{host}{path}"
    return requests.get(url, cookies=cookies, verify=False, timeout=30).status_code


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
def test_each_person_has_a_host_of_the_own_and_no_session_of_the_hub_there(
    installed, names_resolve
):
    import_users(installed, NAMES, PASSWORD)
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
        # A page on the user's host has no session at the hub.
        assert status_in_browser(user, "hub.test", "/hub/api/user") == 200
        assert status_in_browser(user, host, "/hub/api/user") == 403
    assert len(hosts) == len(NAMES)
