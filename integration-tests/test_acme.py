"""Certificates by ACME, against Let's Encrypt's own test server in a real machine."""

from __future__ import annotations

import json
import re
import time

import pytest

from authority import CA, DIRECTORY, EAB_KEY, ROOT, Authority, DnsServer, trusted_status
from browser import page_of
from session import claim_path

pytestmark = pytest.mark.machine

NAME = "hub.example.org"
CHAOS = {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "1", "PEBBLE_WFE_NONCEREJECT": "15"}


@pytest.fixture(scope="module")
def hub(installed_shared):
    return installed_shared


@pytest.fixture(scope="module")
def idle_authority(hub):
    made = Authority(hub)
    made.lead("elsewhere.example.org", "192.0.2.1")
    return made


@pytest.fixture
def authority(idle_authority):
    idle_authority.start()
    return idle_authority


def configure(hub, *names, **more):
    """Ask for a certificate of these names, not applied yet."""
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
    """The hub over HTTPS, with a certificate for its name."""
    configure(hub, NAME)
    hub.run("tljh-config reload", timeout_s=120)
    if trusted_status(hub, NAME) != "200":
        # What it holds is from before the authority was started again, with another root.
        hub.run("tljh cert issue", timeout_s=120)
    return hub


def shown(hub):
    return json.loads(hub.run("tljh cert status --json", check=False).stdout)


def serial(hub):
    return shown(hub)["certificate"]["serial"]


def proxy_pid(hub):
    return json.loads(hub.run("cat /run/traefik/state.json").stdout)["pid"]


def plain_status(hub):
    return hub.run(
        "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1/hub/login", check=False
    ).stdout


def test_a_name_that_leads_elsewhere_is_told_and_http_goes_on(hub, authority):
    configure(hub, NAME, "elsewhere.example.org")
    failed = hub.run("tljh-config reload", check=False, timeout_s=120)
    assert failed.code == 1
    assert "elsewhere.example.org: its http-01 challenge failed" in failed.stderr
    assert "192.0.2.1" in failed.stderr and "fix: port 80" in failed.stderr
    assert plain_status(hub) == "200"
    assert "nothing to do" not in hub.run("tljh-config plan").stdout


def test_a_certificate_comes_is_served_and_http_leads_to_it(secure):
    assert trusted_status(secure, NAME) == "200"
    answer = secure.run(f"curl -si -H 'Host: {NAME}' http://127.0.0.1/hub/login").stdout
    assert answer.startswith(("HTTP/1.1 301", "HTTP/1.1 308"))
    assert f"Location: https://{NAME}/hub/login" in answer
    assert "nothing to do" in secure.run("tljh-config plan").stdout
    doubts = json.loads(secure.run("tljh cert check --json").stdout)["doubts"]
    assert len(doubts) == 1 and "does not resolve" in doubts[0]
    secure.run(f"echo 127.0.0.1 {NAME} >> /etc/hosts")
    # The name leads to a proxy that shows this hub's mark.
    assert json.loads(secure.run("tljh cert check --json").stdout)["doubts"] == []
    modes = secure.run("find /opt/tljh/state/acme -maxdepth 1 -perm /077").stdout
    assert modes == ""
    found = shown(secure)
    assert (found["mode"], found["served"], found["last_error"]) == ("letsencrypt", True, None)
    assert 89 < found["certificate"]["days_left"] <= 90


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


def test_names_come_and_go_and_what_was_held_is_not_asked_for_again(secure, authority):
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
    assert serial(secure) == first and shown(secure)["served"]


def test_a_short_life_is_renewed_at_a_third_without_a_new_proxy(secure, authority):
    old, pid = serial(secure), proxy_pid(secure)
    secure.run("systemctl start tljh-cert.service")
    assert serial(secure) == old  # not due
    authority.start(valid_s=15)
    secure.run("tljh cert issue", timeout_s=120)
    short = serial(secure)
    renew_until(secure, lambda done: json.loads(done.stdout)["obtained"])
    assert serial(secure) != short and shown(secure)["served"]
    assert proxy_pid(secure) == pid
    authority.stop()
    failed = renew_until(secure, lambda done: done.code != 0)
    assert failed.code == 1
    status = secure.run("tljh status", check=False)
    assert status.code in (1, 2) and "could not be renewed" in status.stdout, status.stdout
    authority.start()
    secure.run("tljh cert issue", timeout_s=120)


def renew_until(hub, is_over):
    end = time.monotonic() + 90
    while not is_over(done := hub.run("tljh cert renew --json", check=False, timeout_s=60)):
        assert time.monotonic() < end, done
    return done


def test_an_authority_that_is_down_or_hangs_leaves_the_old_one_served(secure, authority):
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
        assert trusted_status_of_old(secure, old)
    finally:
        authority.thaw()


def trusted_status_of_old(hub, old):
    found = shown(hub)
    return found["served"] and found["certificate"]["serial"] == old


def test_a_revoked_certificate_is_replaced_first(secure, authority):
    secure.run("tljh cert issue", timeout_s=120)
    old = serial(secure)
    told = json.loads(secure.run("tljh cert revoke --reason keycompromise --json").stdout)
    assert told["serial"] == old and authority.status_of(old) == "Revoked"
    assert serial(secure) != old and trusted_status(secure, NAME) == "200"


def test_an_account_that_the_authority_knows_already(hub, authority):
    authority.start(needs_account=True)
    hub.run("rm -rf /opt/tljh/state/acme/certbot")
    hub.run(f"umask 077; printf 'kid = kid-1\\nhmac_key = {EAB_KEY}\\n' > /root/eab")
    configure(hub, "account.example.org", eab="/root/eab")
    hub.run("tljh-config reload", timeout_s=120)
    assert trusted_status(hub, "account.example.org") == "200"
    assert EAB_KEY not in hub.run("journalctl -b --no-pager -o cat").stdout
    hub.run("tljh-config unset https.letsencrypt.eab")


def test_the_certificate_that_traefik_had_serves_until_certbots_comes(hub, authority):
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


# A success tells how the certificate stands; after a refusal that is asked.
ASK = """
told=$(tljh cert issue --timeout 60 --json 2>&1)
echo $told
case $told in *findings*) echo $(tljh cert status --json) ;; esac
"""


def run_chaos(hub, authority, times):
    """Ask again and again; every answer is a new certificate that is served, or the old one."""
    authority.start(**CHAOS)
    obtained, refused, old = 0, 0, serial(hub)
    asked = hub.run(f"for i in $(seq {times}); do {ASK} done", timeout_s=times * 100)
    answers = iter([json.loads(line) for line in asked.stdout.splitlines()])
    for answer in answers:
        if "findings" in answer:
            why = answer["findings"][0]["why"]
            assert re.search(r"nonce|within|error|valid", why), why
            found = next(answers)
            assert found["certificate"]["serial"] == old
            refused += 1
        else:
            found = answer
            assert found["certificate"]["serial"] != old
            obtained += 1
        assert found["served"], found
        old = found["certificate"]["serial"]
    assert obtained + refused == times
    return obtained


def test_twenty_certificates_of_a_capricious_authority(secure, authority):
    assert run_chaos(secure, authority, 20) > 10


@pytest.mark.long
def test_all_names_of_a_zone_are_proven_by_its_own_dns_server(hub, authority):
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
    assert shown(hub)["served"]
    hub.run("tljh-config set https.letsencrypt.dns '{}'")
    hub.run("tljh-config set https.letsencrypt.domains '[hub.example.org]'")


@pytest.mark.long
def test_five_hundred_certificates_of_a_capricious_authority(secure, authority):
    assert run_chaos(secure, authority, 500) > 400
