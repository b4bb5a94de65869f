"""Settings of alerts: where they go, and from which level on."""

from __future__ import annotations

from typing import Literal

from tljh.settings.declaration import Cost, Section, section, setting
from tljh.settings.value_types import Email, FilePath, Host, MailRecipient, Port, Url

SmtpSecurity = Literal["starttls", "tls", "none"]

# RFC 8314 and 6409: submission with STARTTLS, submission over TLS, and plain SMTP.
SMTP_PORTS: dict[str, int] = {"starttls": 587, "tls": 465, "none": 25}


class SmtpSettings(Section):
    """A mail server that takes the alerts."""

    host: Host | None = setting(
        None,
        help="Mail server that takes alerts; null for the machine's own sendmail.",
        cost=Cost.LIVE,
        example="mail.example.org",
    )
    port: Port | None = setting(
        None,
        help="Port of the mail server; null for the usual one (587, with tls 465, with none 25).",
        cost=Cost.LIVE,
        example="587",
    )
    security: SmtpSecurity = setting(
        "starttls",
        help="How the connection is encrypted; none is for a server on this machine.",
        cost=Cost.LIVE,
        example="tls",
    )
    username: str | None = setting(
        None, help="Name for the login at the mail server.", cost=Cost.LIVE, example="hub"
    )
    password_file: FilePath | None = setting(
        None,
        help="File with the password for that login, which only root can read.",
        cost=Cost.LIVE,
        example="/root/smtp-password",
    )


class MailSettings(Section):
    """Alerts by mail."""

    to: list[MailRecipient] = setting(
        [],
        help="Addresses that get alerts by mail; root and the like are accounts of this machine.",
        cost=Cost.LIVE,
        example="admin@example.org",
    )
    sender: Email | None = setting(
        None,
        help="Address that alerts come from; null for root at this machine.",
        cost=Cost.LIVE,
        example="hub@example.org",
    )
    smtp: SmtpSettings = section(SmtpSettings, help="The mail server.")


class AlertsSettings(Section):
    """Messages about events, each once, and about their end."""

    mail: MailSettings = section(MailSettings, help="Alerts by mail.")
    webhooks: list[Url] = setting(
        [],
        help="URLs that get alerts as JSON: of Slack, Mattermost, Discord, Teams or a program.",
        cost=Cost.LIVE,
        secret=True,
        example="https://hooks.example.org/services/T0/B0/x",
    )
    ignore: list[str] = setting(
        [],
        help="Events without an alert, by their names in tljh alerts list --json.",
        cost=Cost.LIVE,
        example="first-passwords",
    )
    disk_percent: int = setting(
        90, help="Share of a disk in use that is an event.", cost=Cost.LIVE, ge=10, le=100
    )
    memory_percent: int = setting(
        95, help="Share of the memory in use that is an event.", cost=Cost.LIVE, ge=10, le=100
    )
    failed_starts: int = setting(
        3,
        help="Number of servers that failed to start within 15 minutes that is an event.",
        cost=Cost.LIVE,
        ge=1,
    )
    refused_logins: int = setting(
        20,
        help="Number of logins refused because passwords are guessed, within 15 minutes, that is "
        "an event.",
        cost=Cost.LIVE,
        ge=1,
    )

    @property
    def has_channels(self) -> bool:
        return bool(self.mail.to or self.webhooks)
