"""Channels of alerts: mail to all addresses, and each webhook."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tljh.alerts.events import Message
from tljh.alerts.message_text import format_subject, format_text, format_webhook
from tljh.base.errors import TljhError
from tljh.host.interface import Host, HostReader
from tljh.host.mail import SENDMAIL, MailServer, send_by_sendmail, send_by_smtp
from tljh.settings.sections.alerts import SMTP_PORTS

if TYPE_CHECKING:
    from tljh.settings.sections.alerts import AlertsSettings, MailSettings, SmtpSettings

WEBHOOK_TIMEOUT_S = 15


class Channel(ABC):
    """One way to the admins. `key` names it in the state, `name` in messages."""

    @property
    @abstractmethod
    def key(self) -> str: ...

    @property
    @abstractmethod
    def name(self) -> str: ...

    @abstractmethod
    def send(self, host: Host, hub: str, messages: Sequence[Message]) -> None:
        """Send messages as one. Raises TljhError, without secrets, if they are not taken."""


@dataclass(frozen=True)
class MailChannel(Channel):
    """Mail to all configured addresses."""

    settings: MailSettings

    @property
    def key(self) -> str:
        return "mail"

    @property
    def name(self) -> str:
        return f"mail to {', '.join(self.settings.to)}"

    def send(self, host: Host, hub: str, messages: Sequence[Message]) -> None:
        mail = EmailMessage()
        # The machine's mail program completes a name without a domain.
        mail["From"] = self.settings.sender or f"root@{hub}"
        mail["To"] = ", ".join(self.settings.to)
        mail["Subject"] = format_subject(hub, messages)
        mail["Date"] = formatdate(localtime=False)
        mail["Message-ID"] = make_msgid(domain=hub)
        # Out-of-office programs do not answer these.
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(format_text(hub, messages), cte="quoted-printable")
        if self.settings.smtp.host is None:
            send_by_sendmail(host, mail)
        else:
            send_by_smtp(_get_server(host, self.settings.smtp), mail)


def _get_server(host: HostReader, smtp: SmtpSettings) -> MailServer:
    assert smtp.host is not None
    port = smtp.port or SMTP_PORTS[smtp.security]
    password = read_smtp_password(host, smtp) if smtp.username else None
    return MailServer(smtp.host, port, smtp.security, smtp.username, password)


def read_smtp_password(host: HostReader, smtp: SmtpSettings) -> str:
    """Return the password from its file. Raises TljhError if others can read it."""
    if smtp.password_file is None:
        raise TljhError(
            "alerts.mail.smtp.username is set, and no password",
            fix="sudo tljh-config set alerts.mail.smtp.password_file /root/smtp-password",
        )
    path = Path(smtp.password_file)
    info = host.info(path, follow=True)
    data = host.read(path, most_bytes=4096)
    if info is None or not data or not data.strip():
        raise TljhError(
            f"the file with the mail server's password is missing or empty: {path}",
            fix=f"create it: sudo install -m 600 /dev/stdin {quote(str(path))}",
        )
    if info.mode & 0o077 or info.owner != "root":
        raise TljhError(
            f"others than root can read the mail server's password: {path}",
            fix=f"sudo chown root: {quote(str(path))} && sudo chmod 600 {quote(str(path))}",
        )
    return data.decode(errors="replace").strip()


@dataclass(frozen=True)
class WebhookChannel(Channel):
    """A URL that gets JSON. It is the permission to write there, so no message shows it."""

    url: str

    @property
    def key(self) -> str:
        return f"webhook-{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"

    @property
    def name(self) -> str:
        return f"webhook at {urlsplit(self.url).hostname}"

    def send(self, host: Host, hub: str, messages: Sequence[Message]) -> None:
        response = host.http(
            "POST",
            self.url,
            timeout_s=WEBHOOK_TIMEOUT_S,
            headers={"Content-Type": "application/json"},
            body=format_webhook(hub, messages),
        )
        if not 200 <= response.status < 300:
            # The text of a failed request names the URL.
            answer = f"status {response.status}" if response.status else "no answer"
            raise TljhError(f"the {self.name} took no message", why=answer)


def list_channels(settings: AlertsSettings) -> list[Channel]:
    """Return the channels of the settings."""
    channels: list[Channel] = [MailChannel(settings.mail)] if settings.mail.to else []
    return channels + [WebhookChannel(url) for url in dict.fromkeys(settings.webhooks)]


def find_channel_problem(host: HostReader, settings: AlertsSettings) -> TljhError | None:
    """Return why mail cannot be sent from this machine, as far as that is seen without sending."""
    mail = settings.mail
    if not mail.to:
        return None
    if mail.smtp.host is None:
        if host.info(Path(SENDMAIL), follow=True) is not None:
            return None
        return TljhError(
            "this machine has no mail program for alerts",
            why=f"there is no {SENDMAIL}",
            fix="sudo tljh-config set alerts.mail.smtp.host mail.example.org, or: "
            "sudo apt-get install msmtp-mta",
        )
    if mail.smtp.username is not None:
        try:
            read_smtp_password(host, mail.smtp)
        except TljhError as error:
            return error
    return None
