"""LDAP against a real directory server."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time

import pytest

from tests.hub.process.running import Browser, RunningHub, free_port, running_hub, tries

SLAPD = shutil.which("slapd", path="/usr/sbin:/usr/bin")
pytestmark = pytest.mark.skipif(SLAPD is None, reason="slapd is not installed (apt install slapd)")
PEOPLE = {"alice": "wonderland", "bob": "the builder", "eve": "dropping in"}
CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
database mdb
suffix dc=example,dc=org
rootdn cn=root,dc=example,dc=org
rootpw rootpw
directory {directory}/data
"""


def entries() -> str:
    lines = [
        "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\no: e\n"
        "dc: example",
        "dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\nou: people",
    ]
    for name, password in PEOPLE.items():
        lines.append(
            f"dn: uid={name},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\n"
            f"uid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {password}"
        )
    lines.append(
        "dn: cn=students,dc=example,dc=org\nobjectClass: groupOfNames\ncn: students\n"
        "member: uid=bob,ou=people,dc=example,dc=org"
    )
    return "\n\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def directory_port(tmp_path_factory):
    directory = tmp_path_factory.mktemp("slapd")
    (directory / "data").mkdir()
    configuration = directory / "slapd.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory))
    subprocess.run(
        ["/usr/sbin/slapadd", "-f", str(configuration)], input=entries(), text=True, check=True
    )
    port = free_port()
    command = [str(SLAPD), "-f", str(configuration), "-h", f"ldap://127.0.0.1:{port}", "-d", "0"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield port
    process.terminate()
    process.wait(10)


def settings(port: int) -> str:
    return (
        "auth:\n"
        "  type: ldap\n"
        "  LDAPAuthenticator:\n"
        "    server_address: 127.0.0.1\n"
        f"    server_port: {port}\n"
        "    tls_strategy: insecure\n"
        "    bind_dn_template: ['uid={username},ou=people,dc=example,dc=org']\n"
        "    allowed_groups: ['cn=students,dc=example,dc=org']\n"
        "users: {allowed: [alice]}\n"
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory, directory_port):
    with running_hub(tmp_path_factory.mktemp("hub"), settings(directory_port)) as hub:
        yield hub


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_user_who_is_listed_or_in_an_allowed_group_logs_in(hub, name):
    browser = Browser(hub)
    assert browser.login(name, PEOPLE[name]).status_code == 302
    assert browser.name == name


def test_a_wrong_password_is_refused(hub):
    assert Browser(hub).login("bob", "not the builder").status_code == 403


def test_a_refusal_takes_the_same_time_for_names_that_the_directory_has_and_others(hub):
    seconds = {}
    for name in ("bob", "nobody", "*"):
        browser = Browser(hub)
        browser.get("/login")
        start_s = time.monotonic()
        assert browser.login(name, "not the builder").status_code == 403
        seconds[name] = time.monotonic() - start_s
    assert min(seconds.values()) > 0.45, seconds
    assert max(seconds.values()) - min(seconds.values()) < 0.3, seconds


def test_a_user_who_is_in_the_directory_only_is_refused(hub):
    assert Browser(hub).login("eve", PEOPLE["eve"]).status_code == 403


@pytest.mark.parametrize("name", ["*", "alice)(uid=*", "alice,ou=people"])
def test_a_name_with_ldap_syntax_is_nobody(hub, name):
    assert Browser(hub).login(name, PEOPLE["alice"]).status_code == 403


def test_auth_check_reaches_the_directory(hub):
    results = tries(hub)
    assert [result["is_fine"] for result in results] == [True] * len(results)
    assert "the directory at 127.0.0.1 answers" in [result["what"] for result in results]


def test_auth_check_reports_a_directory_that_does_not_answer(tmp_path):
    hub = RunningHub(tmp_path, 1)
    hub.configure(settings(free_port()))
    (failure,) = [result for result in tries(hub) if not result["is_fine"]]
    assert failure["what"] == "the directory at 127.0.0.1 cannot be reached"
    assert "tls_strategy" in failure["fix"]


def test_auth_check_searches_below_the_base_of_the_search(tmp_path, directory_port):
    hub = RunningHub(tmp_path, 1)
    text = (
        settings(directory_port)
        .replace("bind_dn_template", "x-unused")
        .replace("    x-unused: ['uid={username},ou=people,dc=example,dc=org']\n", "")
        .replace("    tls_", "    lookup_dn: true\n    user_attribute: uid\n    tls_")
    )
    for base, is_fine in (("ou=people,dc=example,dc=org", True), ("ou=nobody,dc=e", False)):
        hub.configure(text.replace("    tls_", f"    user_search_base: '{base}'\n    tls_"))
        assert tries(hub)[-1]["is_fine"] is is_fine


def test_a_directory_that_is_down_is_a_sentence_for_the_user_and_a_reason_in_the_log(tmp_path):
    with running_hub(tmp_path, settings(free_port())) as hub:
        for _ in range(7):
            answer = Browser(hub).login("alice", PEOPLE["alice"])
            # Not 429: an outage is no bad login.
            assert answer.status_code == 503
        assert "does not answer. Try again" in answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert "The server that checks logins failed: LDAPSocketOpenError" in hub.log
