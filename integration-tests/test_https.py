"""HTTPS without ACME: an admin's own certificate, the local authority, servers in front."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from browser import page_of
from session import HubUser, claim_account
from tljh.base.clock import get_utc_time
from tljh.certificates.local_authority import make_authority
from traffic import HeldKernel, failures_of, probes_of, traffic
from waiting import wait_until

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
CONFIG = "/opt/tljh/config/config.yaml"
GUIDE = Path(__file__).parent.parent / "docs/guides/https.md"
# A folder that only its owner can read, with a blank in its name.
FOLDER = "/home/ada/my certificates"
SERVED_WITHIN_S = 30


@dataclass
class Pair:
    """A certificate for an address, its key, and the authority that signed it."""

    authority: Path
    chain: bytes
    key: bytes

    @property
    def der(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.chain.decode())


def new_pair(directory: Path, address: str, *, days_ago: int = 0) -> Pair:
    directory.mkdir()
    issue_time = get_utc_time() - timedelta(days=days_ago)
    authority = make_authority({}, [address], [], issue_time)
    (directory / "ca.crt").write_bytes(authority.certificate)
    return Pair(directory / "ca.crt", authority.hub, authority.hub_key)


CERT, KEY = f"{FOLDER}/hub.crt", f"{FOLDER}/hub.key"


def copy_pair(hub, pair: Pair, *, cert: str = CERT, key: str = KEY) -> None:
    """Copy a pair into the machine, one file after the other."""
    for path, data in ((cert, pair.chain), (key, pair.key)):
        hub.run(["tee", path], input=data.decode())
    hub.run(["chmod", "600", cert, key])


def served_certificate(address: str, port: int = 443) -> bytes:
    """Return the certificate (DER) that the port serves."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((address, port), timeout=10) as plain,
        context.wrap_socket(plain) as secure,
    ):
        certificate = secure.getpeercert(binary_form=True)
    assert certificate is not None
    return certificate


def wait_until_served(address: str, pair: Pair) -> None:
    wait_until(
        lambda: served_certificate(address) == pair.der,
        "the new certificate is served",
        SERVED_WITHIN_S,
    )


def configure(hub, text: str) -> None:
    """Add settings to the configuration of the installation, and apply it."""
    hub.run(f"cp {CONFIG}.installed {CONFIG} && cat >> {CONFIG}", input=text)
    hub.run("tljh-config reload", timeout_s=180)


@pytest.fixture(scope="module")
def hub(installed_shared):
    claim_account(installed_shared, f"http://{installed_shared.address()}", "admin", PASSWORD)
    installed_shared.run(f"mkdir -p '{FOLDER}' && chmod 700 /home/ada")
    installed_shared.run(f"cp {CONFIG} {CONFIG}.installed")
    return installed_shared


@pytest.fixture(scope="module")
def address(hub):
    return hub.address()


@pytest.fixture(scope="module")
def pair(hub, address, tmp_path_factory):
    return new_pair(tmp_path_factory.mktemp("pairs") / "first", address)


@pytest.fixture
def secured(hub, address, pair):
    """Set up an admin's own certificate, whatever the test before has left."""
    # Only a changed file is written: each write starts tljh-cert.service.
    if hub.run(["cat", CERT], check=False).stdout.encode() != pair.chain:
        copy_pair(hub, pair)
    hub.run("systemctl reset-failed tljh-cert.service", check=False)
    configure(hub, f"https: {{enabled: true, tls: {{cert: {CERT}, key: {KEY}}}}}\n")
    wait_until_served(address, pair)
    return hub


@pytest.fixture
def internal(hub):
    """Set up a certificate of the machine's local authority."""
    hub.run("systemctl reset-failed tljh-cert.service", check=False)
    configure(hub, "https: {enabled: true, mode: internal}\n")
    return hub


@pytest.fixture
def user(secured, address, pair):
    user = HubUser(f"https://{address}", "admin", verify=str(pair.authority))
    user.login(PASSWORD)
    user.start_server()
    return user


def negotiate(
    address: str, *, port: int = 443, ciphers: str = "", alpn: str = "", **versions
) -> str:
    """Connect with these limits; return TLS version, cipher and protocol, or raise SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Otherwise this computer's library would refuse before the hub can.
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
    assert negotiate(address).startswith("TLSv1.3")
    assert negotiate(address, alpn="h2").endswith(" h2")
    assert negotiate(address, alpn="http/1.1").endswith(" http/1.1")
    assert negotiate(address, version=ssl.TLSVersion.TLSv1_2).startswith("TLSv1.2 ECDHE")
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        with pytest.raises((ssl.SSLError, OSError)):
            negotiate(address, version=old)
    for weak in (
        "AES128-SHA",
        "AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-SHA",
        "NULL",
        "DES-CBC3-SHA",
    ):
        with pytest.raises((ssl.SSLError, OSError)):
            negotiate(address, ciphers=weak, version=ssl.TLSVersion.TLSv1_2)


def test_http_leads_to_https_with_all_of_the_address(secured, address, pair):
    response = requests.get(f"http://{address}/user/a/lab?b=c%2Fd", allow_redirects=False)
    assert response.status_code in (301, 308)
    assert response.headers["Location"] == f"https://{address}/user/a/lab?b=c%2Fd"
    page = requests.get(f"http://{address}/hub/login", verify=str(pair.authority))
    assert page.url.startswith(f"https://{address}/hub/login")


def test_answers_carry_the_headers_of_a_safe_site(user):
    headers = user.http.get(f"{user.url}/hub/login").headers
    assert headers["Strict-Transport-Security"] == "max-age=15552000"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_sessions_go_over_https_only_and_to_no_script(user):
    cookies = {cookie.name: cookie for cookie in user.http.cookies}
    sessions = [cookie for name, cookie in cookies.items() if name != "_xsrf"]
    assert {"jupyterhub-hub-login", "jupyterhub-session-id"} <= set(cookies)
    assert [cookie.name for cookie in sessions if not cookie.secure] == []
    assert [cookie.name for cookie in sessions if "HttpOnly" not in cookie._rest] == []
    assert all(cookie.secure for cookie in user.http.cookies if cookie.path == "/hub/")


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
        copy_pair(secured, second)
        wait_until_served(address, second)
    assert failures_of(probes) == {}
    assert kernel.failures == []
    assert "my certificates" not in secured.run("tljh status", check=False).stdout


def test_bad_replacement_keeps_the_old_certificate_and_shows_in_status(
    secured, address, user, tmp_path
):
    before = served_certificate(address)
    copy_pair(secured, new_pair(tmp_path / "old", address, days_ago=800))
    secured.run(
        "timeout 180 sh -c 'until systemctl is-failed -q tljh-cert.service; do "
        "systemctl is-active tljh-cert.path; done'"
    )
    assert served_certificate(address) == before
    status = secured.run("tljh status", check=False)
    assert status.code == 2
    assert f"https.tls.cert has expired: {FOLDER}/hub.crt" in status.stdout
    refused = secured.run("tljh-config reload", check=False)
    assert refused.code == 1 and "has expired" in refused.stderr


def test_browser_that_trusts_the_local_authority_meets_no_warning(internal, address, tmp_path):
    response = requests.get(f"http://{address}/hub/ca.crt", allow_redirects=False)
    assert response.status_code == 200
    (tmp_path / "ca.crt").write_bytes(response.content)
    assert requests.get(f"https://{address}/hub/login", verify=str(tmp_path / "ca.crt")).ok
    errors = []
    with page_of(f"https://{address}", trusts=tmp_path / "ca.crt") as page:
        page.on(
            "console",
            lambda line: errors.append(line.text) if line.type == "error" else None,
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
    blocked = [text for text in errors if re.search("Content.Security|MIME|Referrer", text)]
    assert blocked == []


def test_a_new_address_of_the_machine_is_in_the_certificate_seconds_later(internal, cleanup):
    status = json.loads(internal.run("tljh cert status --json").stdout)
    assert status["complaints"] == []
    # The address comes while nothing watches, as on a machine that was moved.
    internal.run("systemctl stop tljh-address.service tljh-address.timer")
    internal.run("ip address add 10.77.0.5/32 dev eth0 && ip address add 203.0.113.77/32 dev eth0")
    cleanup.callback(internal.run, "ip address del 10.77.0.5/32 dev eth0", check=False)
    cleanup.callback(internal.run, "ip address del 203.0.113.77/32 dev eth0", check=False)
    seen = internal.run("tljh status", check=False)
    assert seen.code == 2
    assert "the certificate is not for 10.77.0.5" in seen.stdout
    # The CA is limited to the first names and to private networks.
    assert "tljh-config add-item https.domains 203.0.113.77" in seen.stdout
    assert "it is not for 10.77.0.5" in internal.run("tljh cert status", check=False).stdout
    internal.run("systemctl start tljh-address.service")
    names = "tljh cert status --json | grep -q {}"
    wait_until(
        lambda: internal.run(names.format("10.77.0.5"), check=False).code == 0, "the new address"
    )
    internal.run("ip address del 203.0.113.77/32 dev eth0")
    wait_until(lambda: internal.run("tljh cert status", check=False).code == 0, "no complaint")
    internal.run("ip address add 10.77.0.6/32 dev eth0")
    cleanup.callback(internal.run, "ip address del 10.77.0.6/32 dev eth0", check=False)
    probe = "curl -s --cacert /opt/tljh/state/internal-ca/ca.crt https://10.77.0.6/hub/health"
    wait_until(lambda: internal.run(probe, check=False).code == 0, "the next address")


def test_internal_authority_is_roots_alone(internal):
    modes = internal.run("stat -c '%a %U' /opt/tljh/state/internal-ca/*").stdout.split("\n")
    assert set(filter(None, modes)) == {"600 root"}


def test_custom_ports_and_ipv6_lead_to_the_same_place(hub, address):
    configure(
        hub,
        "http: {port: 8080, address: '::1'}\n"
        "https: {enabled: true, mode: internal, port: 8443, address: '::1'}\n",
    )
    redirect = hub.run("curl -sgI 'http://[::1]:8080/hub/login?a=b'").stdout
    assert "Location: https://[::1]:8443/hub/login?a=b" in redirect.replace("\r", "")
    authority = "/opt/tljh/state/internal-ca/ca.crt"
    response = hub.run(f"curl -sg --cacert {authority} -D- 'https://[::1]:8443/hub/login'").stdout
    assert response.startswith("HTTP/2 200")
    assert "strict-transport-security" not in response
    with pytest.raises(OSError):
        socket.create_connection((address, 8443), timeout=2)
    assert hub.run("tljh status", check=False).code in (0, 2)


def snippet(name: str) -> str:
    """Return a file's text from the guide."""
    match = re.search(rf"^    # {re.escape(name)}\n((?:    .*\n|\n)+)", GUIDE.read_text(), re.M)
    assert match, f"the guide has no {name}"
    return re.sub(r"^    ", "", match[1], flags=re.M)


@dataclass(frozen=True)
class FrontServer:
    """Another server in front of the hub: its files as in the guide, and its start."""

    file: str
    cert: str
    key: str
    start: str


SERVERS = {
    "nginx": FrontServer(
        "/etc/nginx/conf.d/hub.conf",
        "/etc/ssl/hub.crt",
        "/etc/ssl/private/hub.key",
        "rm /etc/nginx/sites-enabled/default && nginx -t && systemctl restart nginx",
    ),
    "caddy": FrontServer(
        "/etc/caddy/Caddyfile",
        "/etc/caddy/hub.crt",
        "/etc/caddy/hub.key",
        "chown caddy /etc/caddy/hub.* && systemctl restart caddy",
    ),
}


def test_behind_nginx_people_are_who_they_are(hub, address, tmp_path, cleanup):
    check_behind("nginx", hub, address, tmp_path, cleanup)


@pytest.mark.long
def test_behind_caddy_people_are_who_they_are(hub, address, tmp_path, cleanup):
    check_behind("caddy", hub, address, tmp_path, cleanup)


def check_behind(
    name: str, hub, address: str, tmp_path: Path, cleanup: contextlib.ExitStack
) -> None:
    """Set another server up as the guide says, and try addresses, cookies and web sockets."""
    server = SERVERS[name]
    configure(
        hub,
        "http: {address: 127.0.0.1, port: 8000}\ntrusted_proxies: [127.0.0.1]\n"
        "https: {domains: [hub.example.org]}\n",
    )
    hub.install_packages(name)
    cleanup.callback(hub.run, f"systemctl disable --now {name}", check=False)
    front = new_pair(tmp_path / "front", address)
    copy_pair(hub, front, cert=server.cert, key=server.key)
    hub.run(["tee", server.file], input=snippet(server.file).replace("hub.example.org", address))
    hub.run(server.start)
    user = HubUser(f"https://{address}", "admin", verify=str(front.authority))
    user.http.headers["X-Forwarded-For"] = "198.51.100.99"
    user.login(PASSWORD)
    assert all(cookie.secure for cookie in user.http.cookies if cookie.path == "/hub/")
    user.start_server()
    assert user.execute("40 + 2") == "42"
    guesser = HubUser(user.url, f"stranger at {name}", verify=user.verify)
    for header in ("X-Forwarded-For", "X_Forwarded_For", "X-Real-Ip"):
        guesser.http.headers[header] = "198.51.100.99"
    for status in (403, 403, 403, 403, 403, 429):
        guesser.login("wrong", expected=status)
    log = hub.run("journalctl -u jupyterhub -o cat --no-pager").stdout
    gateway = hub.run("ip route show default").stdout.split()[2]
    assert f"'stranger at {name}' from {gateway} has to wait" in log
    assert "@198.51.100.99" not in log and "from 198.51.100.99" not in log
