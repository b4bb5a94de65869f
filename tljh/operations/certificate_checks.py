"""The check of the certificate, for `tljh status` and `tljh doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tljh.base.clock import utc_now
from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.certificates.acme_request import CHALLENGE_PORT
from tljh.certificates.own_files import file_findings, read_files
from tljh.certificates.units import TIMER, WATCH
from tljh.certificates.x509 import expires_soon
from tljh.host.interface import HostReader
from tljh.operations.certificate_renewal import (
    ISSUE_COMMAND,
    CertificateState,
    read_applied,
    read_certificate_state,
    with_retry,
)
from tljh.operations.certificate_revocation import pending_revocation
from tljh.plugins.checks import Result
from tljh.proxy.served_certificate import configured_pair

# The lowest port that users other than root may listen on.
UNPRIVILEGED_PORTS_FILE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

# The timer runs hourly, so a certificate that is due for a day was missed.
OVERDUE = timedelta(days=1)


def certificate_results(host: HostReader, paths: Paths) -> Iterator[Result]:
    """Report what is wrong with the certificate; broken: users cannot reach the hub with it."""
    try:
        state = read_certificate_state(host, paths)
    except TljhError:
        return  # no hub, or an invalid configuration: other checks report it
    pending = pending_revocation(host, paths)
    if pending is not None:
        what = f"the certificate {pending.about.serial} is not revoked yet"
        yield Severity.DEGRADED, Finding(what, fix="sudo tljh cert revoke")
    if state.mode is None:
        return
    yield from _served(state)
    if state.mode in ("letsencrypt", "internal"):
        yield from _renewal(state, host)
    if state.mode == "tls":
        yield from _own(host, paths)
    if state.mode == "letsencrypt":
        yield from _port(host)


def _served(state: CertificateState) -> Iterator[Result]:
    if state.about is None:
        yield Severity.BROKEN, Finding(str(state.problem), fix="sudo tljh-config reload")
        return
    if state.about.not_after <= utc_now():
        expiry = f"{state.about.not_after:%Y-%m-%d %H:%M} UTC"
        what = f"the certificate expired on {expiry}"
        yield Severity.BROKEN, Finding(what, fix=_fix(state))
    elif not state.about.is_valid(utc_now()):
        what = "the certificate is not valid yet"
        why = f"it is valid from {state.about.not_before:%Y-%m-%d %H:%M} UTC on"
        yield Severity.BROKEN, Finding(what, why=why, fix=_fix(state))
    if state.problem:
        what = "the proxy does not serve its configured certificate"
        fix = "sudo systemctl reload traefik"
        yield Severity.BROKEN, Finding(what, why=state.problem, fix=fix)


def _fix(state: CertificateState) -> str:
    if state.mode == "letsencrypt":
        return ISSUE_COMMAND
    if state.mode == "internal":
        return "sudo tljh cert renew"
    return "replace both files by a new certificate and its key; Traefik then serves them"


def _renewal(state: CertificateState, host: HostReader) -> Iterator[Result]:
    if state.about is None:
        return
    left = f"{state.about.days_left(utc_now()):.1f} days left"
    error = state.last_error
    if error is not None and state.is_due:
        finding = Finding(
            f"the certificate could not be renewed, {left}",
            why=f"{error['at']}: {error['what']}\n{error['why'] or ''}".rstrip(),
            fix=with_retry(str(error["fix"]) if error["fix"] else None),
        )
        yield Severity.DEGRADED, finding
        return
    if not host.unit(TIMER).is_active:
        yield Severity.DEGRADED, _inactive("the certificate is not renewed", TIMER)
    is_overdue = state.renewal is not None and utc_now() - state.renewal > OVERDUE
    if is_overdue or expires_soon(state.about.not_before, state.about.not_after, utc_now()):
        what = f"the certificate is due for renewal, {left}"
        yield Severity.DEGRADED, Finding(what, fix=_fix(state))


def _own(host: HostReader, paths: Paths) -> Iterator[Result]:
    https = read_applied(host, paths).config.https
    for finding in file_findings(https, read_files(host, https), configured_pair(host, paths)):
        yield Severity.DEGRADED, finding
    if not host.unit(WATCH).is_active:
        yield Severity.DEGRADED, _inactive("a new certificate would not be noticed", WATCH)


def _inactive(what: str, unit: str) -> Finding:
    return Finding(what, why=f"{unit} is not active", fix=f"sudo systemctl enable --now {unit}")


def _port(host: HostReader) -> Iterator[Result]:
    """Report that any user could answer an authority's challenge, because low ports are free."""
    text = (host.read(UNPRIVILEGED_PORTS_FILE) or b"").decode().strip()
    if text.isdigit() and int(text) <= CHALLENGE_PORT:
        finding = Finding(
            f"any user of this machine can listen on port {CHALLENGE_PORT}, where an "
            "authority asks for proof, and obtain a certificate for the hub's names",
            why=f"net.ipv4.ip_unprivileged_port_start is {text}",
            fix="sudo sysctl -w net.ipv4.ip_unprivileged_port_start=1024",
        )
        yield Severity.DEGRADED, finding
