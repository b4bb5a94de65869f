"""Mail and webhooks: what arrives, and that no message shows a secret."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tljh.alerts.channels import MailChannel, WebhookChannel, find_channel_problem, list_channels
from tljh.alerts.events import Event, Message
from tljh.base.errors import TljhError
from tljh.host.fake import FakeHost
from tljh.host.real import RealHost
from tljh.settings.sections.alerts import AlertsSettings, MailSettings

SECRET = "kX93hfYtW0plm4Zq"
EVENT = Event("hub", "jupyterhub.service is failed", why=f"token={SECRET}", fix="sudo tljh status")
BEGINS = Message("begins", "2026-01-31T12:00:00+00:00", EVENT)
ENDS = Message("ends", "2026-01-31T13:00:00+00:00", EVENT, since=BEGINS.time)


class MailHandler(socketserver.StreamRequestHandler):
    """As much of a mail server as takes a message after a login."""

    def handle(self) -> None:
        lines: list[str] = self.server.lines
        self.wfile.write(b"220 mail.test ESMTP\r\n")
        in_data = False
        for raw in self.rfile:
            line = raw.decode().rstrip("\r\n")
            lines.append(line)
            if in_data:
                in_data = line != "."
                if not in_data:
                    self.wfile.write(b"250 taken\r\n")
                continue
            answers = {"EHLO": "250-mail.test\r\n250 AUTH PLAIN", "AUTH": "235 welcome"}
            answers |= {"DATA": "354 go on", "QUIT": "221 bye"}
            word = line.partition(" ")[0].upper()
            if (
                word == "AUTH"
                and base64.b64decode(line.split()[-1]) != b"\0hub\0" + SECRET.encode()
            ):
                answers["AUTH"] = "535 wrong password"
            in_data = word == "DATA"
            self.wfile.write(f"{answers.get(word, '250 ok')}\r\n".encode())


@pytest.fixture
def mail_server() -> Iterator[socketserver.TCPServer]:
    with socketserver.TCPServer(("127.0.0.1", 0), MailHandler) as server:
        server.lines = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def smtp(server: socketserver.TCPServer, password_file: str) -> MailSettings:
    return MailSettings.model_validate(
        {
            "to": ["admin@example.org", "other@example.org"],
            "smtp": {
                "host": "127.0.0.1",
                "port": server.server_address[1],
                "security": "none",
                "username": "hub",
                "password_file": password_file,
            },
        }
    )


def secret_file(directory: Path, password: str) -> str:
    path = directory / "password"
    path.write_text(password + "\n")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of this test's user count as root's."""
    monkeypatch.setattr("tljh.host.real._find_owner_name", lambda uid: "root")


def test_a_mail_server_gets_the_login_and_the_message(mail_server, tmp_path, as_root):
    settings = smtp(mail_server, secret_file(tmp_path, SECRET))
    MailChannel(settings).send(RealHost(), "hub.example.org", [BEGINS, ENDS])
    text = "\n".join(mail_server.lines)
    assert "rcpt to:<other@example.org>" in text.lower()
    assert "Subject: [hub.example.org] 2 events" in text
    assert "2026-01-31 12:00 UTC  jupyterhub.service is failed" in text
    assert "ended: jupyterhub.service is failed" in text
    assert "Auto-Submitted: auto-generated" in text
    assert SECRET not in text


def test_a_wrong_password_is_the_servers_answer_without_the_password(
    mail_server, tmp_path, as_root
):
    settings = smtp(mail_server, secret_file(tmp_path, "wrong-password"))
    with pytest.raises(TljhError) as error:
        MailChannel(settings).send(RealHost(), "hub", [BEGINS])
    assert "535 wrong password" in str(error.value)
    assert "wrong-password" not in str(error.value)


def test_a_password_that_others_can_read_is_not_used(mail_server, tmp_path, as_root):
    path = secret_file(tmp_path, SECRET)
    Path(path).chmod(0o644)
    with pytest.raises(TljhError, match="others than root can read"):
        MailChannel(smtp(mail_server, path)).send(RealHost(), "hub", [BEGINS])
    assert mail_server.lines == []


def test_a_machine_without_a_mail_program_is_reported_before_an_alert_is_lost():
    settings = AlertsSettings.model_validate({"mail": {"to": ["admin@example.org"]}})
    assert "no mail program" in str(find_channel_problem(FakeHost(), settings))
    host = FakeHost()
    host.mkdir(Path("/usr"), mode=0o755)
    host.mkdir(Path("/usr/sbin"), mode=0o755)
    host.write(Path("/usr/sbin/sendmail"), b"", mode=0o755)
    assert find_channel_problem(host, settings) is None


@pytest.fixture
def webhook() -> Iterator[socketserver.TCPServer]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.bodies.append(json.loads(body))
            self.send_response(404 if "gone" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        server.bodies = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_webhook_gets_text_for_chats_and_events_for_programs(webhook):
    url = f"http://127.0.0.1:{webhook.server_address[1]}/{SECRET}"
    WebhookChannel(url).send(RealHost(), "hub.example.org", [ENDS])
    [body] = webhook.bodies
    assert body["text"] == body["content"]
    assert "ended: jupyterhub.service is failed" in body["text"]
    assert [(each["name"], each["phase"]) for each in body["events"]] == [("hub", "ends")]


def test_the_url_of_a_webhook_is_in_no_message(webhook):
    for url in (
        f"http://127.0.0.1:{webhook.server_address[1]}/gone/{SECRET}",
        f"http://127.0.0.1:1/{SECRET}",
    ):
        with pytest.raises(TljhError) as error:
            WebhookChannel(url).send(RealHost(), "hub", [BEGINS])
        assert "127.0.0.1" in str(error.value) and SECRET not in str(error.value)
        assert SECRET not in WebhookChannel(url).key


def test_each_webhook_is_one_channel():
    settings = AlertsSettings.model_validate(
        {"webhooks": ["https://a.test/1", "https://a.test/2", "https://a.test/1"]}
    )
    assert len({channel.key for channel in list_channels(settings)}) == 2
