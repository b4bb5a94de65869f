"""What can be known before an authority is asked, so that no attempt is wasted.

Errors are what cannot work; notes are what only looks wrong from here: behind NAT or a CDN a
name rightly leads elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.well_known import INSTANCE_HEADER, REACH_PATH
from tljh.certificates.acme_request import (
    FAILURES_AN_HOUR,
    PRODUCTION,
    SAME_NAMES_A_WEEK,
    AcmeRequest,
)
from tljh.certificates.acme_store import Attempts
from tljh.certificates.certbot import read_eab
from tljh.certificates.dns_providers import missing_lines
from tljh.certificates.x509 import CLOCK_SKEW
from tljh.host.interface import HostReader, Response
from tljh.settings.sections.https import WAITS_ITSELF

ANSWER_S = 15.0


REACH_S = 5.0


@dataclass(frozen=True)
class Seen:
    """What was found out about one name from here."""

    name: str
    addresses: tuple[str, ...]
    answer: Response


def check_ahead(
    host: HostReader,
    request: AcmeRequest,
    attempts: Attempts,
    now: datetime,
    *,
    instance: str,
    is_proxied: bool = False,
    timeout_s: float | None = None,
) -> list[str]:
    """Notes on what looks doubtful. Raises TljhError for what cannot work.

    `instance` is the mark by which this hub's answers are known. Behind a proxy of the
    installation's own the authority is not looked at from here: certbot is told of the proxy.
    """
    errors = [*file_errors(host, request)]
    if not errors and not is_proxied:
        answer = host.http("GET", request.server, timeout_s=timeout_s or ANSWER_S, verify=False)
        errors += server_errors(request, answer, now)
    if errors:
        raise TljhError(errors)
    notes = limit_notes(request, attempts, now)
    if request.dns_provider is None:
        own = host.query(["hostname", "-I"]).out.split()
        for name in request.names:
            url = f"http://{name}{REACH_PATH}"
            seen = Seen(
                name,
                tuple(host.addresses_of(name)),
                host.http("GET", url, timeout_s=REACH_S, verify=False),
            )
            notes += name_notes(seen, own, instance)
    return notes


def file_errors(host: HostReader, request: AcmeRequest) -> list[Finding]:
    """What is wrong with files that hold the secrets of an account or a provider."""
    errors = []
    if request.eab is not None:
        errors += _secret_file(host, "https.letsencrypt.eab", request.eab)
        if not errors:
            read_eab(host.read(Path(request.eab)) or b"", request.eab)
    if request.dns_provider is not None:
        key = "https.letsencrypt.dns.credentials"
        path = request.dns_credentials
        if path is not None:
            errors += _secret_file(host, key, path)
            lacking = missing_lines(request.dns_provider, host.read(Path(path)) or b"")
            if lacking and not errors:
                errors.append(
                    Finding(
                        f"{key} names a file that lacks {', '.join(lacking)}",
                        Place(path),
                        fix=f"see what certbot-dns-{request.dns_provider} asks for in its "
                        "documentation",
                    )
                )
        elif request.dns_provider not in WAITS_ITSELF:
            errors.append(
                Finding(
                    f"{key} is missing, which {request.dns_provider} needs",
                    fix=f"sudo tljh-config set {key} /root/{request.dns_provider}.ini",
                )
            )
    return errors


def _secret_file(host: HostReader, key: str, path: str) -> list[Finding]:
    # Of a link, what it leads to counts.
    info = host.info(Path(path), follow=True)
    if info is None or host.read(Path(path)) is None:
        fix = f"make it: sudo install -m 600 /dev/stdin {path}"
        return [Finding(f"{key} names a file that is not there: {path}", fix=fix)]
    if info.mode & 0o077 or info.owner != "root":
        what = f"{key} names a file that others than root can read: {path}"
        why = f"it is {info.owner}'s, with mode {info.mode:04o}"
        return [Finding(what, None, why, f"sudo chown root: {path} && sudo chmod 600 {path}")]
    return []


def server_errors(request: AcmeRequest, answer: Response, now: datetime) -> list[Finding]:
    """Whether the authority answers at all, and whether our clock is that of the world."""
    if answer.status == 0:
        return [
            Finding(
                f"{request.authority} does not answer",
                why=f"{request.server}: {answer.text}",
                fix="see whether this machine reaches it (proxy, firewall), and whether it is up",
            )
        ]
    if answer.status >= 400:
        return [
            Finding(
                f"{request.authority} does not give its directory",
                why=f"{request.server} answers with status {answer.status}",
                fix="see whether https.letsencrypt.server is its directory's URL",
            )
        ]
    told = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
    try:
        difference = parsedate_to_datetime(told) - now
    except (ValueError, TypeError):
        return []
    if abs(difference) < CLOCK_SKEW:
        return []
    return [
        Finding(
            "the clock of this machine is wrong",
            why=f"it says {now:%Y-%m-%d %H:%M} UTC, {request.authority} says {told}",
            fix="sudo timedatectl set-ntp true",
        )
    ]


def limit_notes(request: AcmeRequest, attempts: Attempts, now: datetime) -> list[str]:
    """What of Let's Encrypt's limits was used up from here."""
    if request.server != PRODUCTION:
        return []
    notes = []
    failures = attempts.recent(attempts.failed, now, timedelta(hours=1))
    if failures >= FAILURES_AN_HOUR:
        notes.append(
            f"{failures} attempts failed within the hour, and {request.authority} allows "
            f"{FAILURES_AN_HOUR}: it may refuse until an hour has passed"
        )
    issued = attempts.recent(attempts.issued, now, timedelta(days=7))
    if issued >= SAME_NAMES_A_WEEK:
        notes.append(
            f"{issued} certificates for these names were issued within a week, and "
            f"{request.authority} allows {SAME_NAMES_A_WEEK}: it may refuse for some days"
        )
    return notes


def name_notes(seen: Seen, own: Sequence[str], instance: str) -> list[str]:
    """Whether a name seems to lead here, and whether this hub answers at it."""
    if not seen.addresses:
        return [
            f"{seen.name} does not resolve from here; the authority asks the public DNS, "
            "where it must lead to this machine"
        ]
    elsewhere = [one for one in seen.addresses if one not in own and not _is_loopback(one)]
    if elsewhere and len(elsewhere) < len(seen.addresses):
        return [
            f"{seen.name} resolves to this machine and to {', '.join(elsewhere)}, too, where the "
            "authority may ask: an old entry (AAAA for IPv6, often)?"
        ]
    marks = {name.lower(): value for name, value in seen.answer.headers.items()}
    mark = marks.get(INSTANCE_HEADER.lower())
    if mark is not None and mark == instance:
        return []  # whatever the address is, it reaches us
    notes = []
    if elsewhere:
        notes.append(
            f"{seen.name} resolves to {', '.join(elsewhere)}, which is no address of this machine "
            f"({', '.join(own) or 'none'}): right behind NAT that forwards port 80, or a CDN"
        )
    if seen.answer.status:
        notes.append(
            f"something else than this hub answers at port 80 of {seen.name} "
            f"(status {seen.answer.status}), seen from here"
        )
    else:
        notes.append(
            f"port 80 of {seen.name} does not answer, seen from here ({seen.answer.text}); "
            "a firewall, or a router that leads no traffic back inside"
        )
    return notes


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
