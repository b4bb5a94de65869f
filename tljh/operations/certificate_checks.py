"""The check of the certificate, for `tljh status` and `tljh doctor`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding, TljhError
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.certificates.acme_request import CHALLENGE_PORT
from tljh.certificates.own_files import find_file_problems, read_files
from tljh.certificates.units import ADDRESS_WATCH, TIMER, WATCH
from tljh.certificates.x509 import expires_soon
from tljh.host.interface import HostReader
from tljh.operations.certificate_renewal import (
    ISSUE_COMMAND,
    CertificateState,
    append_retry,
    read_applied,
    read_certificate_state,
)
from tljh.operations.certificate_revocation import read_pending_revocation
from tljh.operations.user_hosts import find_unused_wildcard
from tljh.plugins.checks import Result
from tljh.proxy.served_certificate import read_configured_pair

# The lowest port that users other than root may listen on.
UNPRIVILEGED_PORTS_FILE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

# The timer runs hourly, so a certificate that is due for a day was missed.
OVERDUE = timedelta(days=1)


def check_certificates(host: HostReader, paths: Paths) -> Iterator[Result]:
    """Report what is wrong with the served certificate and its renewal.

    It is `broken` if users cannot reach the hub with it.
    """
    try:
        state = read_certificate_state(host, paths)
    except TljhError:
        return  # no hub, or an invalid configuration: other checks report it
    pending = read_pending_revocation(host, paths)
    if pending is not None:
        what = f"the certificate {pending.about.serial} is not revoked yet"
        yield Severity.DEGRADED, Finding(what, fix="sudo tljh cert revoke")
    if state.mode is None:
        return
    recommendation = find_unused_wildcard(host, paths)
    if recommendation is not None:
        yield Severity.FINE, recommendation
    yield from _check_served(state)
    if state.mode in ("letsencrypt", "internal"):
        yield from _check_renewal(state, host)
    if state.mode == "internal":
        yield from _check_names(state, host)
    if state.mode == "tls":
        yield from _check_own(host, paths)
    if state.mode == "letsencrypt":
        yield from _check_port(host)


def _check_served(state: CertificateState) -> Iterator[Result]:
    if state.about is None:
        yield Severity.BROKEN, Finding(str(state.problem), fix="sudo tljh-config reload")
        return
    if state.about.not_after <= get_utc_time():
        expiry = f"{state.about.not_after:%Y-%m-%d %H:%M} UTC"
        what = f"the certificate expired on {expiry}"
        yield Severity.BROKEN, Finding(what, fix=_suggest_fix(state))
    elif not state.about.is_valid(get_utc_time()):
        what = "the certificate is not valid yet"
        why = f"it is valid from {state.about.not_before:%Y-%m-%d %H:%M} UTC on"
        yield Severity.BROKEN, Finding(what, why=why, fix=_suggest_fix(state))
    if state.problem:
        what = "the proxy does not serve its configured certificate"
        fix = "sudo systemctl reload traefik"
        yield Severity.BROKEN, Finding(what, why=state.problem, fix=fix)


def _suggest_fix(state: CertificateState) -> str:
    if state.mode == "letsencrypt":
        return ISSUE_COMMAND
    if state.mode == "internal":
        return "sudo tljh cert renew"
    return "replace both files by a new certificate and its key; Traefik then serves them"


def _check_renewal(state: CertificateState, host: HostReader) -> Iterator[Result]:
    if state.about is None:
        return
    remaining = f"{state.about.days_left(get_utc_time()):.1f} days left"
    error = state.last_error
    if error is not None and state.is_due:
        finding = Finding(
            f"the certificate could not be renewed, {remaining}",
            why=f"{error['at']}: {error['what']}\n{error['why'] or ''}".rstrip(),
            fix=append_retry(str(error["fix"]) if error["fix"] else None),
        )
        yield Severity.DEGRADED, finding
        return
    if not host.unit(TIMER).is_active:
        yield Severity.DEGRADED, _report_inactive("the certificate is not renewed", TIMER)
    is_overdue = state.renewal is not None and get_utc_time() - state.renewal > OVERDUE
    if is_overdue or expires_soon(state.about.not_before, state.about.not_after, get_utc_time()):
        what = f"the certificate is due for renewal, {remaining}"
        yield Severity.DEGRADED, Finding(what, fix=_suggest_fix(state))


def _check_names(state: CertificateState, host: HostReader) -> Iterator[Result]:
    """Report addresses and names of this machine for which browsers would warn."""
    what = "the certificate is not for {}, by which this machine is reached"
    if state.missing_names:
        names = ", ".join(state.missing_names)
        yield Severity.DEGRADED, Finding(what.format(names), fix=_suggest_fix(state))
    if state.forbidden_names:
        finding = Finding(
            what.format(", ".join(state.forbidden_names)),
            why="this machine's own authority is limited to the names that it had at first, and to "
            "private addresses",
            fix="sudo tljh-config add-item https.domains "
            f"{shlex.quote(state.forbidden_names[0])}; then: sudo tljh-config reload "
            "(makes a new authority, which users have to trust once)",
        )
        yield Severity.DEGRADED, finding
    if not host.unit(ADDRESS_WATCH).is_active:
        what = "a new address of this machine would be noticed an hour late"
        yield Severity.DEGRADED, _report_inactive(what, ADDRESS_WATCH)


def _check_own(host: HostReader, paths: Paths) -> Iterator[Result]:
    https = read_applied(host, paths).config.https
    for finding in find_file_problems(
        https, read_files(host, https), read_configured_pair(host, paths)
    ):
        yield Severity.DEGRADED, finding
    if not host.unit(WATCH).is_active:
        yield Severity.DEGRADED, _report_inactive("a new certificate would not be noticed", WATCH)


def _report_inactive(what: str, unit: str) -> Finding:
    return Finding(what, why=f"{unit} is not active", fix=f"sudo systemctl enable --now {unit}")


def _check_port(host: HostReader) -> Iterator[Result]:
    """Report that users may bind low ports: any of them could answer a CA's challenge."""
    text = (host.read(UNPRIVILEGED_PORTS_FILE) or b"").decode().strip()
    if text.isdigit() and int(text) <= CHALLENGE_PORT:
        finding = Finding(
            f"any user of this machine can listen on port {CHALLENGE_PORT}, where an "
            "authority asks for proof, and obtain a certificate for the hub's names",
            why=f"net.ipv4.ip_unprivileged_port_start is {text}",
            fix="sudo sysctl -w net.ipv4.ip_unprivileged_port_start=1024",
        )
        yield Severity.DEGRADED, finding
