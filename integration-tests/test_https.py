"""HTTPS without ACME: certificates of one's own, an authority of the machine's own, proxies."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from browser import page_of
from session import HubUser, claimed
from tljh.base.clock import utc_now
from tljh.certificates.local_authority import make_authority
from traffic import HeldKernel, probes_of, traffic

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
CONFIG = "/opt/tljh/config/config.yaml"
GUIDE = Path(__file__).parent.parent / "docs/guides/https.md"
# Somewhere that only its owner can look into, with a name that is not plain.
PLACE = "/home/ada/my certificates"
TAKEN_UP_WITHIN_S = 30


@dataclass
class Pair:
    """A certificate for one address, its key, and the authority that it is from."""

    authority: Path
    chain: bytes
    key: bytes

    @property
    def wire(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.chain.decode())


def new_pair(directory: Path, address: str, *, days_ago: int = 0) -> Pair:
    directory.mkdir()
    then = utc_now() - timedelta(days=days_ago)
    made = make_authority({}, [address], [], then)
    (directory / "ca.crt").write_bytes(made.certificate)
    return Pair(directory / "ca.crt", made.hub, made.hub_key)


def put(hub, pair: Pair, *, cert: str = f"{PLACE}/hub.crt", key: str = f"{PLACE}/hub.key") -> None:
    """Copy a pair over the one that is there, one file after the other."""
    for path, data in ((cert, pair.chain), (key, pair.key)):
        hub.run(["tee", path], input=data.decode())
    hub.run(["chmod", "600", cert, key])


def on_the_wire(address: str, port: int = 443) -> bytes:
    """The certificate that the port serves just now."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=10) as plain,
        context.wrap_socket(plain) as secure,
    ):
        found = secure.getpeercert(binary_form=True)
    assert found is not None
    return found


def await_on_the_wire(address: str, wanted: bytes) -> float:
    """Wait until this certificate is served; how long that took, in seconds."""
    began_s = time.monotonic()
    while on_the_wire(address) != wanted:
        assert time.monotonic() - began_s < TAKEN_UP_WITHIN_S, "the new one is not served"
    return time.monotonic() - began_s


def configure(hub, text: str) -> None:
    """Apply the configuration as installed with this added."""
    hub.run(f"cp {CONFIG}.installed {CONFIG} && cat >> {CONFIG}", input=text)
    hub.run("tljh-config reload", timeout_s=180)


@pytest.fixture(scope="module")
def hub(installed_shared):
    claimed(installed_shared, f"http://{installed_shared.address()}", "admin", PASSWORD)
    installed_shared.run(f"mkdir -p '{PLACE}' && chmod 700 /home/ada")
    installed_shared.run(f"cp {CONFIG} {CONFIG}.installed")
    return installed_shared


@pytest.fixture(scope="module")
def address(hub):
    return hub.address()


@pytest.fixture(scope="module")
def pair(hub, address, tmp_path_factory):
    return new_pair(tmp_path_factory.mktemp("pairs") / "first", address)


@pytest.fixture(scope="module")
def secured(hub, pair):
    """The hub with a certificate of its own."""
    put(hub, pair)
    tls = f"{{cert: {PLACE}/hub.crt, key: {PLACE}/hub.key}}"
    configure(hub, f"https: {{enabled: true, tls: {tls}}}\n")
    return hub


@pytest.fixture(scope="module")
def user(secured, address, pair):
    user = HubUser(f"https://{address}", "admin", verify=str(pair.authority))
    user.login(PASSWORD)
    user.start_server()
    return user


def offered(address: str, *, port: int = 443, ciphers: str = "", alpn: str = "", **versions) -> str:
    """What a client with such wishes agrees on with the hub; raises ssl.SSLError for nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Else our own library would refuse before the hub can.
    context.set_ciphers(f"{ciphers or 'ALL'}:@SECLEVEL=0")
    context.minimum_version = versions.get("version", ssl.TLSVersion.TLSv1_2)
    context.maximum_version = versions.get("version", ssl.TLSVersion.TLSv1_3)
    if alpn:
        context.set_alpn_protocols([alpn])
    with (
        socket.create_connection((address, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="hub") as secure,
    ):
        cipher = secure.cipher()
        assert cipher is not None
        return f"{secure.version()} {cipher[0]} {secure.selected_alpn_protocol()}"


def test_modern_tls_is_offered_and_nothing_else(secured, address):
    assert offered(address).startswith("TLSv1.3")
    assert offered(address, alpn="h2").endswith(" h2")
    assert offered(address, alpn="http/1.1").endswith(" http/1.1")
    assert offered(address, version=ssl.TLSVersion.TLSv1_2).startswith("TLSv1.2 ECDHE")
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, OSError)):
            offered(address, version=old)
    for weak in (
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "NULL",
        "DES-CBC3-SHA",
    ):
        with pytest.raises((ssl.SSLError, OSError)):
            offered(address, ciphers=weak, version=ssl.TLSVersion.TLSv1_2)


def test_http_leads_to_https_with_all_of_the_address(secured, address, pair):
    answer = requests.get(f"http://{address}/user/a/lab?b=c%2Fd", allow_redirects=False)
    assert answer.status_code in (301, 308)
    assert answer.headers["Location"] == f"https://{address}/user/a/lab?b=c%2Fd"
    page = requests.get(f"http://{address}/hub/login", verify=str(pair.authority))
    assert page.url.startswith(f"https://{address}/hub/login")


def test_answers_carry_the_headers_of_a_safe_site(user):
    headers = user.http.get(f"{user.url}/hub/login").headers
    assert headers["Strict-Transport-Security"] == "max-age=15552000"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_sessions_go_over_https_only_and_to_no_script(user):
    kept = {cookie.name: cookie for cookie in user.http.cookies}
    sessions = [cookie for name, cookie in kept.items() if name != "_xsrf"]
    assert {"jupyterhub-hub-login", "jupyterhub-session-id"} <= set(kept)
    assert [one.name for one in sessions if not one.secure] == []
    assert [one.name for one in sessions if "HttpOnly" not in one._rest] == []
    assert all(one.secure for one in user.http.cookies if one.path == "/hub/")


def test_an_action_that_another_site_sends_is_refused(user):
    for method, path in (("POST", "/hub/api/users"), ("DELETE", "/hub/api/users/admin/server")):
        assert user.http.request(method, user.url + path).status_code == 403
    assert user.http.post(f"{user.server}/api/kernels", json={}).status_code == 403
    form = {"username": "admin", "password": PASSWORD}
    assert user.http.post(f"{user.url}/hub/login", data=form).status_code == 403


def test_replaced_certificate_is_served_at_once_and_nobody_is_cut_off(
    secured, address, user, pair, tmp_path
):
    token = user.hub_api("POST", "/users/admin/tokens", json={"note": "probe"}).json()["token"]
    second = new_pair(tmp_path / "second", address)
    both = tmp_path / "both.crt"
    both.write_bytes(pair.authority.read_bytes() + second.authority.read_bytes())
    user.verify = user.http.verify = str(both)
    probes = probes_of(user, token)
    with HeldKernel(user) as kernel, traffic(probes):
        put(secured, second)
        await_on_the_wire(address, second.wire)
    assert {probe.name: probe.failures for probe in probes if probe.failures} == {}
    assert kernel.failures == []
    assert "my certificates" not in secured.run("tljh status", check=False).stdout


def test_bad_replacement_keeps_the_old_certificate_and_shows_in_status(
    secured, address, user, tmp_path
):
    before = on_the_wire(address)
    put(secured, new_pair(tmp_path / "old", address, days_ago=800))
    secured.run(
        "timeout 60 sh -c 'until systemctl is-failed -q tljh-cert.service; do "
        "systemctl is-active tljh-cert.path; done'"
    )
    assert on_the_wire(address) == before
    shown = secured.run("tljh status", check=False)
    assert shown.code == 2
    assert f"https.tls.cert has expired: {PLACE}/hub.crt" in shown.stdout
    refused = secured.run("tljh-config reload", check=False)
    assert refused.code == 1 and "has expired" in refused.stderr


def test_browser_that_trusts_the_machines_own_authority_meets_no_warning(hub, address, tmp_path):
    hub.run("systemctl reset-failed tljh-cert.service", check=False)
    configure(hub, "https: {enabled: true, mode: internal}\n")
    answer = requests.get(f"http://{address}/hub/ca.crt", allow_redirects=False)
    assert answer.status_code == 200
    (tmp_path / "ca.crt").write_bytes(answer.content)
    assert requests.get(f"https://{address}/hub/login", verify=str(tmp_path / "ca.crt")).ok
    complaints = []
    with page_of(f"https://{address}", trusts=tmp_path / "ca.crt") as page:
        page.on(
            "console",
            lambda said: complaints.append(said.text) if said.type == "error" else None,
        )
        page.goto("/hub/login?next=/hub/home")
        page.get_by_label("Username").fill("admin")
        page.locator("#password_input").fill(PASSWORD)
        page.locator("#login_submit").click()
        page.wait_for_url("**/hub/home")
        assert page.evaluate("window.isSecureContext")
        page.goto("/hub/spawn")
        page.wait_for_url("**/user/admin/lab**")
        page.locator(".jp-LauncherCard", has_text="Python 3 (ipykernel)").first.click()
        ready = page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first
        expect(ready).to_be_visible()
    blocked = [text for text in complaints if re.search("Content.Security|MIME|Referrer", text)]
    assert blocked == []


def test_internal_authority_is_roots_alone(hub):
    shown = hub.run("stat -c '%a %U' /opt/tljh/state/internal-ca/*").stdout.split("\n")
    assert set(filter(None, shown)) == {"600 root"}


def test_custom_ports_and_ipv6_lead_to_the_same_place(hub, address):
    configure(
        hub,
        "http: {port: 8080, address: '::1'}\n"
        "https: {enabled: true, mode: internal, port: 8443, address: '::1'}\n",
    )
    asked = hub.run("curl -sgI 'http://[::1]:8080/hub/login?a=b'").stdout
    assert "Location: https://[::1]:8443/hub/login?a=b" in asked.replace("\r", "")
    authority = "/opt/tljh/state/internal-ca/ca.crt"
    answer = hub.run(f"curl -sg --cacert {authority} -D- 'https://[::1]:8443/hub/login'").stdout
    assert answer.startswith("HTTP/2 200")
    assert "strict-transport-security" not in answer
    with pytest.raises(OSError):
        socket.create_connection((address, 8443), timeout=2)
    assert hub.run("tljh status", check=False).code in (0, 2)


def snippet(name: str) -> str:
    """The text of a file, as the guide has it."""
    found = re.search(rf"^    # {re.escape(name)}\n((?:    .*\n|\n)+)", GUIDE.read_text(), re.M)
    assert found, f"the guide has no {name}"
    return re.sub(r"^    ", "", found[1], flags=re.M)


@dataclass(frozen=True)
class Server:
    """Another server in front of the hub: its files as the guide names them, and its start."""

    file: str
    cert: str
    key: str
    start: str


SERVERS = {
    "nginx": Server(
        "/etc/nginx/conf.d/hub.conf",
        "/etc/ssl/hub.crt",
        "/etc/ssl/private/hub.key",
        "rm /etc/nginx/sites-enabled/default && nginx -t && systemctl restart nginx",
    ),
    "caddy": Server(
        "/etc/caddy/Caddyfile",
        "/etc/caddy/hub.crt",
        "/etc/caddy/hub.key",
        "chown caddy /etc/caddy/hub.* && systemctl restart caddy",
    ),
}


def test_behind_nginx_people_are_who_they_are(hub, address, tmp_path):
    check_behind("nginx", hub, address, tmp_path)


@pytest.mark.long
def test_behind_caddy_people_are_who_they_are(hub, address, tmp_path):
    check_behind("caddy", hub, address, tmp_path)


def check_behind(name: str, hub, address: str, tmp_path: Path) -> None:
    """The guide's words for another server, tried out: addresses, cookies, web sockets."""
    server = SERVERS[name]
    configure(
        hub,
        "http: {address: 127.0.0.1, port: 8000}\ntrusted_proxies: [127.0.0.1]\n"
        "https: {domains: [hub.example.org]}\n",
    )
    install = f"apt-get install -qy --no-install-recommends {name}"
    hub.run(f"{install} || (apt-get update -q && {install})", timeout_s=300)
    given = new_pair(tmp_path / "given", address)
    put(hub, given, cert=server.cert, key=server.key)
    hub.run(["tee", server.file], input=snippet(server.file).replace("hub.example.org", address))
    hub.run(server.start)
    user = HubUser(f"https://{address}", "admin", verify=str(given.authority))
    user.http.headers["X-Forwarded-For"] = "198.51.100.99"
    user.login(PASSWORD)
    assert all(cookie.secure for cookie in user.http.cookies if cookie.path == "/hub/")
    user.start_server()
    assert user.execute("40 + 2") == "42"
    mistaken = HubUser(user.url, f"stranger at {name}", verify=user.verify)
    for header in ("X-Forwarded-For", "X_Forwarded_For", "X-Real-Ip"):
        mistaken.http.headers[header] = "198.51.100.99"
    for status in (403, 403, 403, 403, 403, 429):
        mistaken.login("wrong", expected=status)
    told = hub.run("journalctl -u jupyterhub -o cat --no-pager").stdout
    gateway = hub.run("ip route show default").stdout.split()[2]
    assert f"'stranger at {name}' from {gateway} has to wait" in told
    assert "@198.51.100.99" not in told and "from 198.51.100.99" not in told
    hub.run(f"systemctl disable --now {name}")
