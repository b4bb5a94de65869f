"""Authenticators, each with a real account database or provider, through Traefik."""

from __future__ import annotations

import time
from urllib.parse import urlparse

import pytest
import requests

from machine.install import CHANNEL
from session import HubUser, claim_account

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
# The installation's config.yaml has it too: the channel of the tests.
CHANNELS = f"user_environment: {{channels: ['file://{CHANNEL}']}}\n"
SUFFIX = "dn: {suffix}\nobjectClass: dcObject\nobjectClass: organization\no: e\ndc: example\n\n"
PERSON = (
    "dn: uid={name},dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\n"
    "sn: {name}\nuserPassword: {password}\n\n"
)


@pytest.fixture(scope="module")
def hub(installed_shared):
    machine = installed_shared
    machine.url = f"http://{machine.address()}"
    return machine


@pytest.fixture
def configure(hub):
    """Return a function that replaces config.yaml, as an editor does, and reloads."""

    def write(text: str, code: int = 0):
        hub.run("cat > /opt/tljh/config/config.yaml", input=CHANNELS + text)
        done = hub.run("tljh-config reload", check=False)
        assert done.code == code, done.stdout + done.stderr
        return done

    return write


@pytest.fixture
def accounts(hub, cleanup):
    """Add the Linux accounts maria, in the group students, and mallory."""
    for name in ("maria", "mallory"):
        hub.run(f"useradd -m {name} && echo {name}:{PASSWORD} | chpasswd")
        cleanup.callback(hub.run, f"userdel -r {name}", check=False)
    hub.run("groupadd students && gpasswd -a maria students")
    cleanup.callback(hub.run, "groupdel students")


def test_pam_logs_in_accounts_of_the_machine_that_are_allowed(hub, configure, accounts):
    configure("auth: {type: pam, PAMAuthenticator: {allowed_groups: [students]}}\n")
    HubUser(hub.url, "maria").login(PASSWORD)
    HubUser(hub.url, "maria").login("wrong", expected=403)
    HubUser(hub.url, "mallory").login(PASSWORD, expected=403)
    checks = hub.run("tljh auth check").stdout
    assert "ok   PAM has the service login" in checks
    assert "ok   there is a group students" in checks
    # By turns: the machine may be busy with other work.
    names = ("maria", "nobody-here") * 3
    seconds = [_time_refusal(hub.url, name) for name in names]
    known_s, unknown_s = sorted(seconds[::2])[1], sorted(seconds[1::2])[1]
    assert known_s / 1.5 < unknown_s < known_s * 1.5, seconds


def _time_refusal(url: str, name: str) -> float:
    start_s = time.monotonic()
    HubUser(url, name).login("wrong", expected=403)
    return time.monotonic() - start_s


def test_native_sign_up_waits_for_authorization_and_admins_for_their_claim(hub, configure):
    configure("auth: {type: native}\nusers: {admin: [chief], allowed: [lena]}\n")
    chief = claim_account(hub, hub.url, "chief", PASSWORD)
    chief.login(PASSWORD)
    for name in ("lena", "nora", "chief"):
        sign_up(hub, name, PASSWORD + name)
    HubUser(hub.url, "lena").login(PASSWORD + "lena")
    HubUser(hub.url, "chief").login(PASSWORD + "chief", expected=403)
    HubUser(hub.url, "nora").login(PASSWORD + "nora", expected=403)
    chief.http.get(f"{hub.url}/hub/authorize")
    token = {"_xsrf": chief._xsrf("/hub/")}
    assert chief.http.post(f"{hub.url}/hub/authorize/nora", data=token).ok
    HubUser(hub.url, "nora").login(PASSWORD + "nora")


def sign_up(hub, name: str, password: str) -> None:
    user = HubUser(hub.url, name)
    user.http.get(f"{hub.url}/hub/signup")
    fields = {"signup_password": password, "signup_password_confirmation": password}
    response = user.http.post(
        f"{hub.url}/hub/signup", data={"username": name, "_xsrf": user._xsrf("/hub/"), **fields}
    )
    assert response.ok


@pytest.fixture
def directory(hub, cleanup):
    """Run an LDAP directory with alice and eve at 127.0.0.1."""
    hub.install_packages("slapd")
    entries = "".join(PERSON.format(name=name, password=PASSWORD) for name in ("alice", "eve"))
    script = (
        "systemctl stop slapd; mkdir -p /srv/ldap/data; cat > /srv/ldap/slapd.conf <<END\n"
        "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"
        "include /etc/ldap/schema/inetorgperson.schema\n"
        "modulepath /usr/lib/ldap\nmoduleload back_mdb\ndatabase mdb\n"
        "suffix dc=example,dc=org\ndirectory /srv/ldap/data\nEND\n"
        "slapadd -f /srv/ldap/slapd.conf && "
        "systemd-run -q --unit=directory slapd -d 0 -f /srv/ldap/slapd.conf -h ldap://127.0.0.1"
    )
    cleanup.callback(hub.run, "systemctl stop directory", check=False)
    hub.run(script, input=SUFFIX.format(suffix="dc=example,dc=org") + entries)


def test_ldap_logs_in_users_of_a_directory(hub, directory, configure):
    configure(
        "auth:\n  type: ldap\n  LDAPAuthenticator:\n    server_address: 127.0.0.1\n"
        "    tls_strategy: insecure\n    bind_dn_template: ['uid={username},dc=example,dc=org']\n"
        "users: {allowed: [alice]}\n"
    )
    assert "the directory at 127.0.0.1 answers" in hub.run("tljh auth check").stdout
    HubUser(hub.url, "alice").login(PASSWORD)
    HubUser(hub.url, "alice").login("wrong", expected=403)
    HubUser(hub.url, "eve").login(PASSWORD, expected=403)


@pytest.fixture
def provider(hub, cleanup):
    """Run an OpenID provider in the machine and return its URL."""
    hub.run(
        "/opt/tljh/hub/bin/uv venv -q --seed /srv/oidc && "
        "/srv/oidc/bin/pip install -q oidc-provider-mock",
        timeout_s=300,
    )
    cleanup.callback(hub.run, "systemctl stop oidc", check=False)
    hub.run("systemd-run -q --unit=oidc /srv/oidc/bin/oidc-provider-mock -H 0.0.0.0 -p 9400")
    return f"{hub.url}:9400"


def test_a_login_at_an_openid_provider(hub, provider, configure):
    configure(
        "auth:\n  type: generic-oauth\n  GenericOAuthenticator:\n"
        "    client_id: hub\n    client_secret: '00123'\n    username_claim: sub\n"
        f"    authorize_url: {provider}/oauth2/authorize\n    token_url: {provider}/oauth2/token\n"
        f"    userdata_url: {provider}/userinfo\n    scope: [openid]\n"
        "    oauth_callback_url: https://hub.example.org/hub/oauth_callback\n"
        "users: {allowed: [alice@example.org]}\n"
    )
    for name, status in (("alice@example.org", 302), ("stranger@example.org", 403)):
        with requests.Session() as http:
            http.trust_env = False
            to_provider = http.get(f"{hub.url}/hub/oauth_login", allow_redirects=False)
            to_hub = http.post(
                to_provider.headers["Location"], data={"sub": name}, allow_redirects=False
            )
            callback = urlparse(to_hub.headers["Location"])
            assert callback.netloc == "hub.example.org"
            url = f"{hub.url}{callback.path}?{callback.query}"
            response = http.get(url, allow_redirects=False)
            assert response.status_code == status, response.text[-1000:]


def test_an_incomplete_provider_is_refused_and_the_hub_stays_as_it_is(hub, configure):
    configure("auth: {type: dummy}\n")
    refused = configure("auth: {type: github}\nusers: {allowed: [alice]}\n", code=1)
    assert "client_secret is not set" in refused.stderr
    HubUser(hub.url, "stranger").login("anything")


def test_dummy_warns_in_status_and_doctor(hub, configure):
    configure("auth: {type: dummy}\n")
    for command in ("status", "doctor"):
        assert "allows a login under any name" in hub.run(f"tljh {command}", check=False).stdout


def test_guesses_are_throttled_through_the_proxy_whatever_address_they_claim(hub, configure):
    configure(
        "auth: {type: shared-password, SharedPasswordAuthenticator: {user_password: tea-time-7}}\n"
        "users: {allowed: [alice, bob]}\n"
    )
    responses = []
    for number in range(7):
        guesser = HubUser(hub.url, "alice")
        guesser.http.headers["X-Forwarded-For"] = f"192.0.2.{number}"
        guesser.http.headers["X-Real-Ip"] = f"192.0.2.{number}"
        expected = 403 if number < 5 else 429
        responses.append(guesser.login("guess", expected=expected))
    assert int(responses[-1].headers["Retry-After"]) > 0
    HubUser(hub.url, "bob").login("tea-time-7")


def test_tmp_gives_each_visitor_a_new_account(hub, configure):
    configure("auth: {type: tmp}\n")
    with requests.Session() as http:
        http.trust_env = False
        page = http.get(f"{hub.url}/hub/tmplogin", allow_redirects=False)
        assert page.status_code == 302
        assert any(cookie.name == "jupyterhub-hub-login" for cookie in http.cookies)
