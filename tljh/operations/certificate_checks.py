"""What `tljh status` and `tljh doctor` say of the certificate: whether it is broken, and why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from tljh.base.clock import utc_now
from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.certificates.acme_request import CHALLENGE_PORT
from tljh.certificates.own_files import file_findings, read_files
from tljh.certificates.units import TIMER, WATCH
from tljh.certificates.x509 import expires_soon
from tljh.host.interface import HostReader
from tljh.operations.certificate_renewal import AGAIN, Standing, applied, standing, then_again
from tljh.operations.certificate_revocation import unfinished
from tljh.proxy.served_certificate import configured_pair

PRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


# The timer runs hourly; what is due for longer than this has been missed.
OVERDUE = timedelta(days=1)


def certificate_findings(host: HostReader, paths: Paths) -> Iterator[tuple[bool, Finding]]:
    try:
        now = standing(host, paths)
    except TljhError:
        return  # an invalid configuration, or none: told by other checks
    left = unfinished(host, paths)
    if left is not None:
        what = f"the certificate {left.about.serial} was to be revoked and is not"
        yield False, Finding(what, fix="sudo tljh cert revoke")
    if now.mode is None:
        return
    yield from _served(now)
    if now.mode in ("letsencrypt", "internal"):
        yield from _renewal(now, host)
    if now.mode == "tls":
        yield from _own(host, paths)
    if now.mode == "letsencrypt":
        yield from _port(host)


def _served(now: Standing) -> Iterator[tuple[bool, Finding]]:
    if now.about is None:
        yield True, Finding(str(now.problem), fix="sudo tljh-config reload")
        return
    until = f"{now.about.not_after:%Y-%m-%d %H:%M} UTC"
    if now.about.not_after <= utc_now():
        yield True, Finding(f"the certificate expired on {until}", fix=_fix(now))
    elif not now.about.is_valid(utc_now()):
        why = f"it is from {now.about.not_before:%Y-%m-%d %H:%M} UTC on"
        yield True, Finding("the certificate is not valid yet", why=why, fix=_fix(now))
    if now.problem:
        yield (
            True,
            Finding(
                "the proxy does not serve the certificate that it was given",
                why=now.problem,
                fix="sudo systemctl reload traefik",
            ),
        )


def _fix(now: Standing) -> str:
    if now.mode == "letsencrypt":
        return AGAIN
    if now.mode == "internal":
        return "sudo tljh cert renew"
    return "put a new certificate and its key there; it is taken up by itself"


def _renewal(now: Standing, host: HostReader) -> Iterator[tuple[bool, Finding]]:
    if now.about is None:
        return
    left = f"{now.about.days_left(utc_now()):.1f} days left"
    error = now.last_error
    if error is not None and now.is_due:
        yield (
            False,
            Finding(
                f"the certificate could not be renewed, {left}",
                why=f"{error['at']}: {error['what']}\n{error['why'] or ''}".rstrip(),
                fix=then_again(str(error["fix"]) if error["fix"] else None),
            ),
        )
        return
    timer = host.unit(TIMER)
    if not timer.is_active:
        fix = f"sudo systemctl enable --now {TIMER}"
        yield False, Finding("nothing renews the certificate", None, f"{TIMER} does not run", fix)
    is_overdue = now.renewal is not None and utc_now() - now.renewal > OVERDUE
    if is_overdue or expires_soon(now.about.not_before, now.about.not_after, utc_now()):
        yield False, Finding(f"the certificate is due for renewal, {left}", fix=_fix(now))


def _own(host: HostReader, paths: Paths) -> Iterator[tuple[bool, Finding]]:
    https = applied(host, paths).config.https
    for finding in file_findings(https, read_files(host, https), configured_pair(host, paths)):
        yield False, finding
    if not host.unit(WATCH).is_active:
        fix = f"sudo systemctl enable --now {WATCH}"
        yield False, Finding("nobody notices a new certificate", None, f"{WATCH} does not run", fix)


def _port(host: HostReader) -> Iterator[tuple[bool, Finding]]:
    """Everybody on the machine could answer challenges where low ports are free to all."""
    text = (host.read(PRIVILEGED) or b"").decode().strip()
    if text.isdigit() and int(text) <= CHALLENGE_PORT:
        yield (
            False,
            Finding(
                f"any user of this machine can listen on port {CHALLENGE_PORT}, where an "
                "authority asks for proof, and so get a certificate for the hub's names",
                why=f"net.ipv4.ip_unprivileged_port_start is {text}",
                fix="sudo sysctl -w net.ipv4.ip_unprivileged_port_start=1024",
            ),
        )
