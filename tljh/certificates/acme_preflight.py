"""Checks before a CA is asked for a certificate: each failed attempt counts against its limits.

An error is certain: the request cannot succeed. A note is only likely, as seen from this machine:
behind NAT or a CDN, a name correctly resolves to another address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, Place, TljhError
from tljh.base.well_known import INSTANCE_HEADER, REACH_PATH
from tljh.certificates.acme_request import (
    FAILURES_AN_HOUR,
    PRODUCTION,
    SAME_NAMES_A_WEEK,
    AcmeRequest,
)
from tljh.certificates.acme_store import RequestAttempts, count_recent
from tljh.certificates.certbot import read_eab
from tljh.certificates.dns_providers import find_missing_lines
from tljh.certificates.x509 import CLOCK_SKEW
from tljh.host.interface import HostReader, Response
from tljh.settings.sections.https import WAITS_ITSELF

# For an answer of the CA, which may be slow.
ANSWER_S = 15.0


# For an answer of this hub under its public name.
REACH_S = 5.0


@dataclass(frozen=True)
class NameProbe:
    """One name as this machine sees it: its addresses, and the answer at port 80."""

    name: str
    addresses: tuple[str, ...]
    answer: Response


def check_ahead(
    host: HostReader,
    request: AcmeRequest,
    attempts: RequestAttempts,
    current_time: datetime,
    *,
    instance: str,
    is_proxied: bool = False,
    timeout_s: float | None = None,
) -> list[str]:
    """Check what a certificate request needs; return notes on what may fail.

    Raises TljhError for what cannot succeed. `instance` is the mark that this hub's answers carry
    in a header: by it, a name is found to lead elsewhere. If the installation went through an HTTP
    proxy (`is_proxied`), the CA is not probed, as only certbot is set up to use that proxy.
    """
    errors = [*check_files(host, request)]
    if not errors and not is_proxied:
        answer = host.http("GET", request.server, timeout_s=timeout_s or ANSWER_S, verify=False)
        errors += check_server(request, answer, current_time)
    if errors:
        raise TljhError(errors)
    notes = warn_of_limits(request, attempts, current_time)
    if request.dns_provider is None:
        own_addresses = host.query(["hostname", "-I"]).out.split()
        for name in request.names:
            url = f"http://{name}{REACH_PATH}"
            probe = NameProbe(
                name,
                tuple(host.addresses_of(name)),
                host.http("GET", url, timeout_s=REACH_S, verify=False),
            )
            notes += warn_of_name(probe, own_addresses, instance)
    return notes


def check_files(host: HostReader, request: AcmeRequest) -> list[Finding]:
    """Check the files with the secrets of an ACME account or a DNS provider."""
    errors = []
    if request.eab is not None:
        errors += _check_secret_file(host, "https.letsencrypt.eab", request.eab)
        if not errors:
            read_eab(host.read(Path(request.eab)) or b"", request.eab)
    if request.dns_provider is not None:
        key = "https.letsencrypt.dns.credentials"
        path = request.dns_credentials
        if path is not None:
            errors += _check_secret_file(host, key, path)
            lacking = find_missing_lines(request.dns_provider, host.read(Path(path)) or b"")
            if lacking and not errors:
                errors.append(
                    Finding(
                        f"{key} names a file that lacks {', '.join(lacking)}",
                        Place(path),
                        fix=f"see the documentation of certbot-dns-{request.dns_provider}",
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


def _check_secret_file(host: HostReader, key: str, path: str) -> list[Finding]:
    # Of a link, its target matters.
    info = host.info(Path(path), follow=True)
    if info is None or host.read(Path(path)) is None:
        fix = f"create it: sudo install -m 600 /dev/stdin {quote(str(path))}"
        return [Finding(f"{key} names a file that is not there: {path}", fix=fix)]
    if info.mode & 0o077 or info.owner != "root":
        what = f"{key} names a file that others than root can read: {path}"
        why = f"its owner is {info.owner}, its mode {info.mode:04o}"
        name = quote(str(path))
        return [Finding(what, None, why, f"sudo chown root: {name} && sudo chmod 600 {name}")]
    return []


def check_server(request: AcmeRequest, answer: Response, current_time: datetime) -> list[Finding]:
    """Check that the CA answers, and by its answer that this machine's clock is right."""
    if answer.status == 0:
        return [
            Finding(
                f"{request.authority} does not answer",
                why=f"{request.server}: {answer.text}",
                fix="check that this machine can reach it (proxy, firewall), and that it is up",
            )
        ]
    if answer.status >= 400:
        return [
            Finding(
                f"{request.authority} does not give its directory",
                why=f"{request.server} answers with status {answer.status}",
                fix="check that https.letsencrypt.server is the URL of its directory",
            )
        ]
    date = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
    try:
        difference = parsedate_to_datetime(date) - current_time
    except (ValueError, TypeError):
        return []
    if abs(difference) < CLOCK_SKEW:
        return []
    return [
        Finding(
            "the clock of this machine is wrong",
            why=(
                f"it shows {current_time:%Y-%m-%d %H:%M} UTC, "
                f"that of {request.authority} shows {date}"
            ),
            fix="sudo timedatectl set-ntp true",
        )
    ]


def warn_of_limits(
    request: AcmeRequest, attempts: RequestAttempts, current_time: datetime
) -> list[str]:
    """Return a note for each of Let's Encrypt's rate limits that our attempts have reached."""
    if request.server != PRODUCTION:
        return []
    notes = []
    failures = count_recent(attempts.failed, current_time, timedelta(hours=1))
    if failures >= FAILURES_AN_HOUR:
        notes.append(
            f"{failures} attempts failed within the hour, and {request.authority} allows "
            f"{FAILURES_AN_HOUR}: it may refuse until an hour has passed"
        )
    issued = count_recent(attempts.issued, current_time, timedelta(days=7))
    if issued >= SAME_NAMES_A_WEEK:
        notes.append(
            f"{issued} certificates for these names were issued within a week, and "
            f"{request.authority} allows {SAME_NAMES_A_WEEK}: it may refuse for some days"
        )
    return notes


def warn_of_name(probe: NameProbe, own_addresses: Sequence[str], instance: str) -> list[str]:
    """Return notes if a host name does not seem to lead to this hub from the internet."""
    if not probe.addresses:
        return [
            f"{probe.name} does not resolve on this machine; in the public DNS, which the CA asks, "
            "it must lead to this machine"
        ]
    foreign = [
        address
        for address in probe.addresses
        if address not in own_addresses and not _is_loopback(address)
    ]
    if foreign and len(foreign) < len(probe.addresses):
        return [
            f"{probe.name} resolves to this machine and also to {', '.join(foreign)}, where the "
            "CA may ask; is that an old record (often AAAA, for IPv6)?"
        ]
    headers = {name.lower(): value for name, value in probe.answer.headers.items()}
    mark = headers.get(INSTANCE_HEADER.lower())
    if mark is not None and mark == instance:
        # This hub has answered. So the name leads here, although the address is not ours.
        return []
    notes = []
    if foreign:
        notes.append(
            f"{probe.name} resolves to {', '.join(foreign)}, which is not an address of this "
            f"machine ({', '.join(own_addresses) or 'none'}); behind a CDN, or NAT that forwards "
            "port 80, that is right"
        )
    if probe.answer.status:
        notes.append(
            f"something else than this hub answers at port 80 of {probe.name} "
            f"(status {probe.answer.status}), seen from this machine"
        )
    else:
        notes.append(
            f"port 80 of {probe.name} does not answer, seen from this machine "
            f"({probe.answer.text}); the cause may be a firewall, or a router that does not send "
            "traffic from inside back inside"
        )
    return notes


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
