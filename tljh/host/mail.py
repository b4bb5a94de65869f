"""Mail: through the machine's sendmail, or to a mail server."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Literal

from tljh.base.errors import TljhError
from tljh.host.interface import Host

SENDMAIL = "/usr/sbin/sendmail"
TIMEOUT_S = 30


@dataclass(frozen=True)
class MailServer:
    """A mail server, and the login at it."""

    host: str
    port: int
    security: Literal["starttls", "tls", "none"]
    username: str | None = None
    password: str | None = None


def send_by_sendmail(host: Host, message: EmailMessage) -> None:
    """Hand a message to the machine's mail program. Raises TljhError if it does not take it."""
    result = host.run(
        [SENDMAIL, "-i", "-t"], timeout_s=TIMEOUT_S, stdin=message.as_bytes().decode("ascii")
    )
    if not result.ok:
        raise TljhError(
            "the machine's mail program took no message", why=(result.err or result.out).strip()
        )


def send_by_smtp(server: MailServer, message: EmailMessage) -> None:
    """Send a message to a mail server. Raises TljhError with the server's answer."""
    # Imported here: it takes long, and most commands send nothing.
    import smtplib
    import socket

    # Without it, smtplib asks DNS servers for the full name, which may not answer.
    name = socket.gethostname()
    context = ssl.create_default_context()
    try:
        if server.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, name, timeout=TIMEOUT_S, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT_S)
        with connection:
            if server.security == "starttls":
                connection.starttls(context=context)
            if server.username is not None:
                connection.login(server.username, server.password or "")
            connection.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        raise TljhError(
            f"the mail server {server.host}:{server.port} took no message", why=_explain(error)
        ) from error


def _explain(error: Exception) -> str:
    answer = getattr(error, "smtp_error", None)
    if isinstance(answer, bytes):
        return f"it answered {getattr(error, 'smtp_code', '')} {answer.decode(errors='replace')}"
    return str(error) or type(error).__name__
