"""Alerts on a machine: a real mail server and a webhook get each event once, without the hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from machine import Machine
from session import HubUser, import_users
from waiting import wait_until

PASSWORD = "a long password 1"
MAILBOX = "/var/mail/owner"
BODIES = "/root/bodies.jsonl"
HOOK = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        open("/root/bodies.jsonl", "ab").write(body + b"\\n")
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9999), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def alerted(installed_shared: Machine) -> Iterator[Machine]:
    machine = installed_shared
    machine.run("useradd --create-home owner")
    machine.run(
        "echo 'postfix postfix/main_mailer_type select Local only' | debconf-set-selections && "
        "echo 'postfix postfix/mailname string hub.test' | debconf-set-selections"
    )
    machine.install_packages("postfix")
    machine.run("postconf -e mydestination=hub.test,localhost && systemctl restart postfix")
    machine.run("cat > /root/hook.py", input=HOOK)
    machine.run("systemd-run --unit hook python3 /root/hook.py")
    machine.run("tljh-config add-item alerts.mail.to owner@hub.test")
    machine.run("tljh-config set --stdin alerts.webhooks", input='["http://127.0.0.1:9999/x"]')
    machine.run("tljh-config reload", timeout_s=180)
    # Only this test runs the service from here on.
    assert machine.run("systemctl is-active tljh-alerts.timer").stdout.strip() == "active"
    machine.run("systemctl stop tljh-alerts.timer")
    yield machine
    machine.run("tljh-config unset alerts && tljh-config reload", timeout_s=180)


def read_subjects(machine: Machine) -> list[str]:
    text = machine.run(f"cat {MAILBOX}", check=False).stdout
    return re.findall(r"^Subject: \[\S+\] (.*)$", text, re.M)


def read_phases(machine: Machine) -> list[str]:
    lines = machine.run(f"cat {BODIES}", check=False).stdout.splitlines()
    bodies = [json.loads(line) for line in lines]
    return [f"{each['name']} {each['phase']}" for body in bodies for each in body["events"]]


def test_a_test_reaches_mailbox_and_webhook(alerted: Machine):
    done = alerted.run("tljh alerts test")
    assert done.stdout.count(": taken") == 2
    wait_until(lambda: read_subjects(alerted) == ["this is a test of alerts"], "the mail")
    assert read_phases(alerted) == ["test test"]


def test_a_hub_that_is_down_is_reported_once_and_so_is_its_end(alerted: Machine):
    alerted.run("systemctl start tljh-alerts", timeout_s=200)
    before = read_phases(alerted)
    alerted.run("systemctl stop jupyterhub")
    try:
        for _ in range(2):
            alerted.run("systemctl start tljh-alerts", timeout_s=200)
        assert read_phases(alerted) == [*before, "hub begins"]
        assert "jupyterhub.service is inactive" in alerted.run("tljh alerts list").stdout
    finally:
        alerted.run("systemctl start jupyterhub")
    wait_until(lambda: alerted.run("tljh status", check=False).code == 0, "a hub that is fine")
    alerted.run("systemctl start tljh-alerts", timeout_s=200)
    assert read_phases(alerted) == [*before, "hub begins", "hub ends"]
    wait_until(
        lambda: "ended: jupyterhub.service is inactive" in "\n".join(read_subjects(alerted)),
        "the mail about the end",
    )


def test_a_change_that_is_rolled_back_is_reported(alerted: Machine):
    drop_in = "/opt/tljh/config/jupyterhub_config.d/sick.py"
    # Passes every check, because only systemd sets the variable.
    text = (
        'import os\nif os.environ.get("NOTIFY_SOCKET"):\n    raise SystemExit("the last words")\n'
    )
    alerted.run(f"cat > {drop_in}", input=text)
    try:
        done = alerted.run("tljh-config reload --timeout 20", check=False, timeout_s=300)
        assert "every change was rolled back" in done.stderr
        alerted.run("systemctl start tljh-alerts", timeout_s=200)
        assert "rolled-back begins" in read_phases(alerted)
    finally:
        alerted.run(f"rm -f {drop_in}; tljh-config set limits.cpu 1; tljh-config reload")
    alerted.run("systemctl start tljh-alerts", timeout_s=200)
    assert "rolled-back ends" in read_phases(alerted)
    alerted.run("tljh-config unset limits.cpu && tljh-config reload", timeout_s=180)


def test_guessed_passwords_and_failed_starts_are_reported(alerted: Machine):
    alerted.run(
        "tljh-config set alerts.refused_logins 3 && tljh-config set alerts.failed_starts 1 && "
        "tljh-config reload",
        timeout_s=180,
    )
    import_users(alerted, ["ann", "bob"], PASSWORD)
    url = f"http://{alerted.address()}"
    ann = HubUser(url, "ann")
    ann.login(PASSWORD)
    alerted.run("mv /opt/tljh/singleuser.py /opt/tljh/singleuser.away")
    try:
        with pytest.raises(Exception, match=r"."):
            ann.start_server()
    finally:
        alerted.run("mv /opt/tljh/singleuser.away /opt/tljh/singleuser.py")
    for _ in range(12):
        with pytest.raises(Exception, match=r"."):
            HubUser(url, "bob").login("a wrong password")
    alerted.run("systemctl start tljh-alerts", timeout_s=200)
    phases = read_phases(alerted)
    assert "failed-starts begins" in phases and "guessing begins" in phases
