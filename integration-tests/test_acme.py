"""Certificates by ACME, from Let's Encrypt's own test server, on a real machine."""

from __future__ import annotations

import json
import re

import pytest

from authority import CA, DIRECTORY, EAB_KEY, ROOT, Authority, DnsServer, trusted_status
from browser import page_of
from session import claim_path
from waiting import wait_until

pytestmark = pytest.mark.machine

NAME = "hub.example.org"
UNRELIABLE = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "1", "PEBBLE_WFE_NONCEREJECT": "15"}


@pytest.fixture(scope="module")
def hub(installed_shared):
    return installed_shared


@pytest.fixture(scope="module")
def idle_authority(hub):
    pebble = Authority(hub)
    pebble.resolve("elsewhere.example.org", "192.0.2.1")
    return pebble


@pytest.fixture
def authority(idle_authority):
    idle_authority.start()
    return idle_authority


def configure(hub, *names, **more):
    """Set a certificate for these names, without applying it."""
    acme = {
        "email": "admin@example.org",
        "server": DIRECTORY,
        "ca_bundle": CA,
        "domains": list(names),
        **more,
    }
    hub.run(f"tljh-config set https.letsencrypt '{json.dumps(acme)}'")
    hub.run("tljh-config set https.enabled true")


@pytest.fixture
def secure(hub, authority):
    """Return the hub over HTTPS, with a certificate of the running authority."""
    configure(hub, NAME)
    hub.run("tljh-config reload", timeout_s=120)
    if trusted_status(hub, NAME) != "200":
        # The certificate is from before the authority's restart, which made a new root.
        hub.run("tljh cert issue", timeout_s=120)
    return hub


def certificate_status(hub):
    return json.loads(hub.run("tljh cert status --json", check=False).stdout)


def serial(hub):
    return certificate_status(hub)["certificate"]["serial"]


def proxy_pid(hub):
    return json.loads(hub.run("cat /run/traefik/state.json").stdout)["pid"]


def plain_status(hub):
    return hub.run(
        "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/hub/login", check=False
    ).stdout


def test_a_name_that_resolves_elsewhere_is_reported_and_http_goes_on(hub, authority):
    configure(hub, NAME, "elsewhere.example.org")
    failed = hub.run("tljh-config reload", check=False, timeout_s=120)
    assert failed.code == 1
    assert "elsewhere.example.org: its http-01 challenge failed" in failed.stderr
    assert "192.0.2.1" in failed.stderr and "fix: port 80" in failed.stderr
    assert plain_status(hub) == "200"
    assert "nothing to do" not in hub.run("tljh-config plan").stdout


@pytest.fixture
def hosts_file(hub):
    """Restore /etc/hosts after a test that adds a name."""
    # podman mounts the file: it can be written, but not replaced.
    hub.run("cp /etc/hosts /root/hosts.saved")
    yield "/etc/hosts"
    hub.run("cat /root/hosts.saved > /etc/hosts")


def test_a_certificate_is_obtained_and_served_and_http_leads_to_it(secure, hosts_file):
    assert trusted_status(secure, NAME) == "200"
    redirect = secure.run(f"curl -si -H 'Host: {NAME}' http://127.0.0.1/hub/login").stdout
    assert redirect.startswith(("HTTP/1.1 301", "HTTP/1.1 308"))
    assert f"Location: https://{NAME}/hub/login" in redirect
    assert "nothing to do" in secure.run("tljh-config plan").stdout
    doubts = json.loads(secure.run("tljh cert check --json").stdout)["doubts"]
    assert len(doubts) == 1 and "does not resolve" in doubts[0]
    secure.run(f"echo 127.0.0.1 {NAME} >> {hosts_file}")
    # The name resolves to a proxy that answers with this hub's instance header.
    assert json.loads(secure.run("tljh cert check --json").stdout)["doubts"] == []
    modes = secure.run("find /opt/tljh/state/acme -maxdepth 1 -perm /077").stdout
    assert modes == ""
    status = certificate_status(secure)
    assert (status["mode"], status["served"], status["last_error"]) == ("letsencrypt", True, None)
    assert 89 < status["certificate"]["days_left"] <= 90


def test_a_browser_that_trusts_the_authority_logs_in(secure, tmp_path):
    secure.copy_out(ROOT, tmp_path / "root.pem")
    names = {NAME: secure.address()}
    with page_of(f"https://{NAME}", trusts=tmp_path / "root.pem", names=names) as page:
        page.goto(claim_path(secure, "admin"))
        page.get_by_label("Password (at least").fill("correct-horse-7")
        page.get_by_label("Password again").fill("correct-horse-7")
        page.get_by_role("button", name="Set password").click()
        page.goto("/hub/login?next=%2Fhub%2Fhome")
        page.get_by_label("Username").fill("admin")
        page.locator("#password_input").fill("correct-horse-7")
        page.locator("#login_submit").click()
        page.wait_for_url("**/hub/home")
        assert all(cookie["secure"] for cookie in page.context.cookies())


def test_names_are_added_and_rolled_back_without_a_new_request(secure, authority):
    first = serial(secure)
    configure(secure, NAME, "www.example.org")
    secure.run("tljh-config reload", timeout_s=120)
    assert trusted_status(secure, "www.example.org") == "200"
    assert serial(secure) != first
    authority.stop()
    secure.run("tljh-config rollback", timeout_s=120)
    assert serial(secure) == first


@pytest.mark.long
def test_off_and_on_again_takes_up_the_certificate_that_was_held(secure, authority):
    first = serial(secure)
    authority.stop()
    secure.run("tljh-config set https.enabled false && tljh-config reload", timeout_s=120)
    assert plain_status(secure) == "200"
    secure.run("tljh-config set https.enabled true && tljh-config reload", timeout_s=120)
    assert serial(secure) == first and certificate_status(secure)["served"]


@pytest.fixture
def long_lived(secure, authority):
    """Obtain a certificate with the ordinary life after a test of short ones."""
    yield secure
    authority.start()
    secure.run("tljh cert issue", timeout_s=120)


def test_a_short_lived_certificate_is_renewed_without_a_new_proxy(long_lived, authority):
    secure = long_lived
    old, pid = serial(secure), proxy_pid(secure)
    secure.run("systemctl start tljh-cert.service")
    assert serial(secure) == old  # not due
    authority.start(valid_s=15)
    secure.run("tljh cert issue", timeout_s=120)
    short = serial(secure)
    renew_until(secure, lambda done: json.loads(done.stdout)["obtained"])
    assert serial(secure) != short and certificate_status(secure)["served"]
    assert proxy_pid(secure) == pid
    authority.stop()
    failed = renew_until(secure, lambda done: done.code != 0)
    assert failed.code == 1
    status = secure.run("tljh status", check=False)
    assert status.code in (1, 2) and "could not be renewed" in status.stdout, status.stdout


def renew_until(hub, is_over):
    """Renew again and again, as the timer does, until the result fits; return that result."""
    results = []

    def renew() -> bool:
        results.append(hub.run("tljh cert renew --json", check=False, timeout_s=60))
        return is_over(results[-1])

    wait_until(renew, "a renewal ends as expected", 90)
    return results[-1]


def test_an_authority_that_is_down_or_hangs_leaves_the_old_certificate_served(secure, authority):
    old = serial(secure)
    authority.stop()
    down = secure.run("tljh cert issue", check=False, timeout_s=60)
    assert (down.code, serial(secure)) == (1, old)
    assert "does not answer" in down.stderr and "good for another" in down.stderr
    authority.start()
    authority.freeze()
    try:
        hanging = secure.run("tljh cert issue --timeout 3", check=False, timeout_s=60)
        assert hanging.code == 1 and "within 3 s" in hanging.stderr
        assert serves(secure, old)
    finally:
        authority.thaw()


def serves(hub, serial_number):
    status = certificate_status(hub)
    return status["served"] and status["certificate"]["serial"] == serial_number


def test_a_certificate_is_replaced_before_it_is_revoked(secure, authority):
    secure.run("tljh cert issue", timeout_s=120)
    old = serial(secure)
    revoked = json.loads(secure.run("tljh cert revoke --reason keycompromise --json").stdout)
    assert revoked["serial"] == old and authority.status_of(old) == "Revoked"
    assert serial(secure) != old and trusted_status(secure, NAME) == "200"


@pytest.fixture
def no_account_afterwards(hub):
    yield
    hub.run("tljh-config unset https.letsencrypt.eab")


def test_an_account_that_exists_at_the_authority_is_used(hub, authority, no_account_afterwards):
    authority.start(needs_account=True)
    hub.run("rm -rf /opt/tljh/state/acme/certbot")
    hub.run(f"umask 077; printf 'kid = kid-1\\nhmac_key = {EAB_KEY}\\n' > /root/eab")
    configure(hub, "account.example.org", eab="/root/eab")
    hub.run("tljh-config reload", timeout_s=120)
    assert trusted_status(hub, "account.example.org") == "200"
    assert EAB_KEY not in hub.run("journalctl -b --no-pager -o cat").stdout


def test_traefiks_own_certificate_is_served_until_certbot_has_one(hub, authority):
    authority.stop()
    hub.run(
        "cd /root && openssl req -x509 -newkey rsa:2048 -nodes -days 60 -keyout k.pem -out c.pem "
        "-subj /CN=old.example.org -addext subjectAltName=DNS:old.example.org && "
        'printf \'{"le": {"Certificates": [{"domain": {"main": "old.example.org"}, '
        '"certificate": "%s", "key": "%s"}]}}\' $(base64 -w0 c.pem) $(base64 -w0 k.pem) '
        "> /opt/tljh/state/acme.json && chmod 600 /opt/tljh/state/acme.json"
    )
    configure(hub, "old.example.org")
    hub.run("tljh-config reload", timeout_s=120)
    assert trusted_status(hub, "old.example.org", "/root/c.pem") == "200"
    authority.start()
    hub.run("tljh cert renew", timeout_s=120)
    assert trusted_status(hub, "old.example.org") == "200"


# After a success the output has the certificate's status; after a refusal a second line has it.
ISSUE = """
result=$(tljh cert issue --timeout 60 --json 2>&1)
echo $result
case $result in *findings*) echo $(tljh cert status --json) ;; esac
"""


def issue_many(hub, authority, times):
    """Request certificates from an unreliable authority; return how many were obtained.

    Each time the new certificate is served, or after a refusal the old one.
    """
    authority.start(**UNRELIABLE)
    obtained, refused, old = 0, 0, serial(hub)
    output = hub.run(f"for i in $(seq {times}); do {ISSUE} done", timeout_s=times * 100).stdout
    results = iter([json.loads(line) for line in output.splitlines()])
    for result in results:
        if "findings" in result:
            why = result["findings"][0]["why"]
            assert re.search(r"nonce|within|error|valid", why), why
            status = next(results)
            assert status["certificate"]["serial"] == old
            refused += 1
        else:
            status = result
            assert status["certificate"]["serial"] != old
            obtained += 1
        assert status["served"], status
        old = status["certificate"]["serial"]
    assert obtained + refused == times
    return obtained


@pytest.mark.long
def test_twenty_certificates_of_an_unreliable_authority(secure, authority):
    assert issue_many(secure, authority, 20) > 10


@pytest.fixture
def http_challenge_afterwards(hub):
    yield
    hub.run("tljh-config set https.letsencrypt.dns '{}'")
    hub.run("tljh-config set https.letsencrypt.domains '[hub.example.org]'")


@pytest.mark.long
def test_all_names_of_a_zone_are_proven_by_its_own_dns_server(
    hub, authority, http_challenge_afterwards
):
    dns = DnsServer(hub, "lan.example.org")
    authority.start(dns=dns.address, PEBBLE_AUTHZREUSE="0")
    provider = {"provider": "rfc2136", "credentials": dns.credentials, "propagation_s": 2}
    configure(hub, "*.lan.example.org", "lan.example.org", dns=provider)
    assert "certbot-dns-rfc2136" in hub.run("tljh-config plan").stdout
    hub.run("tljh-config reload", timeout_s=300)
    assert trusted_status(hub, "anything.lan.example.org") == "200"
    assert trusted_status(hub, "lan.example.org") == "200"
    hub.run("sed -i s/secret.*/'secret = bm90aGluZw=='/ " + dns.credentials)
    failed = hub.run("tljh cert issue", check=False, timeout_s=120)
    assert failed.code == 1 and "credentials" in failed.stderr, failed.stderr
    assert certificate_status(hub)["served"]


@pytest.mark.long
def test_five_hundred_certificates_of_a_capricious_authority(secure, authority):
    assert issue_many(secure, authority, 500) > 400
