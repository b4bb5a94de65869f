"""Ways to log in, each against what is really behind it, through reloads and through Traefik."""

from __future__ import annotations

from urllib.parse import urlparse

import pytest
import requests

from machine.install import CHANNEL
from session import HubUser, claim_account

pytestmark = pytest.mark.machine

PASSWORD = "correct-horse-7"
# Of the installation's own config.yaml: where conda packages come from in a test.
KEPT = f"user_environment: {{channels: ['file://{CHANNEL}']}}\n"
PEOPLE = "dn: {suffix}\nobjectClass: dcObject\nobjectClass: organization\no: e\ndc: example\n\n"
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
    """Write a whole config.yaml, as an editor would, and reload."""

    def write(text: str, code: int = 0):
        hub.run("cat > /opt/tljh/config/config.yaml", input=KEPT + text)
        done = hub.run("tljh-config reload", check=False)
        assert done.code == code, done.stdout + done.stderr
        return done

    return write


def test_pam_logs_in_accounts_of_the_machine_that_are_allowed(hub, configure):
    for name in ("maria", "mallory"):
        hub.run(f"useradd -m {name} && echo {name}:{PASSWORD} | chpasswd")
    hub.run("groupadd students && gpasswd -a maria students")
    configure("auth: {type: pam, PAMAuthenticator: {allowed_groups: [students]}}\n")
    HubUser(hub.url, "maria").login(PASSWORD)
    HubUser(hub.url, "maria").login("wrong", expected=403)
    HubUser(hub.url, "mallory").login(PASSWORD, expected=403)
    told = hub.run("tljh auth check").stdout
    assert "ok   PAM has the service login" in told
    assert "ok   there is a group students" in told


def test_native_sign_up_waits_for_authorization_and_admins_for_their_claim(hub, configure):
    configure("auth: {type: native}\nusers: {admin: [chief], allowed: [lena]}\n")
    chief = claim_account(hub, hub.url, "chief", PASSWORD)
    chief.login(PASSWORD)
    for name in ("lena", "nora", "chief"):
        sign_up(hub, name, PASSWORD + name)
    HubUser(hub.url, "lena").login(PASSWORD + "lena")
    HubUser(hub.url, "chief").login(PASSWORD + "chief", expected=403)
    HubUser(hub.url, "nora").login(PASSWORD + "nora", expected=403)
    assert chief.http.get(f"{hub.url}/hub/authorize/nora").ok
    HubUser(hub.url, "nora").login(PASSWORD + "nora")


def sign_up(hub, name: str, password: str) -> None:
    user = HubUser(hub.url, name)
    user.http.get(f"{hub.url}/hub/signup")
    fields = {"signup_password": password, "signup_password_confirmation": password}
    answer = user.http.post(
        f"{hub.url}/hub/signup", data={"username": name, "_xsrf": user._xsrf("/hub/"), **fields}
    )
    assert answer.ok


def test_ldap_logs_in_people_of_a_directory(hub, configure):
    # The package cache is shared with other machines, one of which may hold its lock.
    hub.run(
        "mkdir -p /var/tmp/archives/partial && DEBIAN_FRONTEND=noninteractive "
        "apt-get install -qy -o Dir::Cache::archives=/var/tmp/archives slapd >/dev/null",
        timeout_s=300,
    )
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
    hub.run(script, input=PEOPLE.format(suffix="dc=example,dc=org") + entries)
    configure(
        "auth:\n  type: ldap\n  LDAPAuthenticator:\n    server_address: 127.0.0.1\n"
        "    tls_strategy: insecure\n    bind_dn_template: ['uid={username},dc=example,dc=org']\n"
        "users: {allowed: [alice]}\n"
    )
    assert "the directory at 127.0.0.1 answers" in hub.run("tljh auth check").stdout
    HubUser(hub.url, "alice").login(PASSWORD)
    HubUser(hub.url, "alice").login("wrong", expected=403)
    HubUser(hub.url, "eve").login(PASSWORD, expected=403)


def test_a_login_at_an_openid_provider(hub, configure):
    hub.run(
        "/opt/tljh/hub/bin/uv venv -q --seed /srv/oidc && "
        "/srv/oidc/bin/pip install -q oidc-provider-mock",
        timeout_s=300,
    )
    hub.run("systemd-run -q --unit=oidc /srv/oidc/bin/oidc-provider-mock -H 0.0.0.0 -p 9400")
    provider = f"{hub.url}:9400"
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
            away = http.get(f"{hub.url}/hub/oauth_login", allow_redirects=False)
            back = http.post(away.headers["Location"], data={"sub": name}, allow_redirects=False)
            came = urlparse(back.headers["Location"])
            assert came.netloc == "hub.example.org"
            answer = http.get(f"{hub.url}{came.path}?{came.query}", allow_redirects=False)
            assert answer.status_code == status, answer.text[-1000:]


def test_an_incomplete_provider_is_refused_and_the_old_hub_goes_on(hub, configure):
    configure("auth: {type: dummy}\n")
    refused = configure("auth: {type: github}\nusers: {allowed: [alice]}\n", code=1)
    assert "client_secret is missing" in refused.stderr
    HubUser(hub.url, "anybody").login("anything")


def test_dummy_warns_in_status_and_doctor(hub, configure):
    configure("auth: {type: dummy}\n")
    for command in ("status", "doctor"):
        assert "lets anyone in" in hub.run(f"tljh {command}", check=False).stdout


def test_guesses_are_throttled_through_the_proxy_and_made_up_addresses_do_not_help(hub, configure):
    configure(
        "auth: {type: shared-password, SharedPasswordAuthenticator: {user_password: tea-time-7}}\n"
        "users: {allowed: [alice, bob]}\n"
    )
    answers = []
    for number in range(7):
        guesser = HubUser(hub.url, "alice")
        guesser.http.headers["X-Forwarded-For"] = f"192.0.2.{number}"
        guesser.http.headers["X-Real-Ip"] = f"192.0.2.{number}"
        expected = 403 if number < 5 else 429
        answers.append(guesser.login("guess", expected=expected))
    assert int(answers[-1].headers["Retry-After"]) > 0
    HubUser(hub.url, "bob").login("tea-time-7")


def test_tmp_gives_everybody_a_new_account(hub, configure):
    configure("auth: {type: tmp}\n")
    with requests.Session() as http:
        http.trust_env = False
        page = http.get(f"{hub.url}/hub/tmplogin", allow_redirects=False)
        assert page.status_code == 302
        assert any(cookie.name == "jupyterhub-hub-login" for cookie in http.cookies)
