"""Renew certificates between reloads, and report the state of the one that is served.

`tljh cert renew` calls this: from a timer, and when one of the admin's certificate files changes.
It works from the applied configuration, so pending edits have no effect, and it changes nothing
but the certificate: it swaps Traefik's dynamic files, and restores them if the port does not serve
the new certificate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import PROXY_UNIT
from tljh.certificates.acme import AcmeSource, acme_source
from tljh.certificates.acme_request import STAGING
from tljh.certificates.authority_trust import TrustAdvice, trust_advice
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.own_files import await_pair, unserved_findings
from tljh.certificates.resources import authority_resources
from tljh.certificates.x509 import CertificateDetails, TlsPair, covers, read_details
from tljh.engine.apply import recover
from tljh.engine.facts import Facts
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.journal import Journal
from tljh.host.interface import Host, HostReader
from tljh.operations.facts import read_facts, with_files
from tljh.operations.installed_config import config_lock, load_configuration
from tljh.proxy.facts import ProxyFacts
from tljh.proxy.guard import try_traefik
from tljh.proxy.resources import certificates_to_serve, dynamic_inputs, proxy_configuration
from tljh.proxy.served_certificate import (
    configured_chain,
    configured_pair,
    https_endpoint,
    remove_unused_pairs,
    served_problem,
    swap_certificate,
    wait_until_served,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 60.0

ISSUE_COMMAND = "sudo tljh cert issue"


@dataclass(frozen=True)
class Applied:
    """The applied configuration, and the facts of the machine as it is."""

    config: Config
    facts: Facts
    paths: Paths

    @property
    def source(self) -> AcmeSource | None:
        """The authority that issues certificates; None in other modes and while HTTPS is off."""
        if self.config.https.effective_mode != "letsencrypt":
            return None
        return acme_source(self.config, self.paths, self.facts.hub_environment)


def read_applied(host: HostReader, paths: Paths) -> Applied:
    """Read what was applied last. Raises TljhError if nothing is installed."""
    journal = Journal(paths.journal_dir)
    numbers = journal.numbers(host)
    if not numbers:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            fix="install one: sudo python3 bootstrap.py --admin NAME",
        )
    data = journal.entry(host, numbers[-1]).files.get("config.yaml", b"")
    config = load_configuration(host, paths, data)
    return Applied(config, read_facts(host, config, paths), paths)


@dataclass(frozen=True)
class Renewed:
    """The result of a renewal: whether a certificate was obtained, and whether one was swapped.

    `waits_until` is the next attempt, if a renewal is due and earlier attempts failed.
    """

    obtained: bool = False
    exchanged: bool = False
    waits_until: datetime | None = None


def renew(
    host: Host,
    paths: Paths,
    progress: Progress,
    *,
    at_once: bool = False,
    timeout_s: float | None = None,
) -> Renewed:
    """Obtain a new certificate if one is due, or `at_once`, and have Traefik serve it.

    Raises TljhError when either fails; then Traefik still serves the previous certificate.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, Journal(paths.journal_dir), progress, config_lock(host, paths))
        applied = read_applied(host, paths)
        source = applied.source
        refusal: TljhError | None = None
        obtained, waits_until = False, None
        if source is not None:
            due = at_once or is_due(host, source)
            waits_until = None if at_once or not due else _retry_time(host, source)
            if due and waits_until is None:
                try:
                    with progress.step(f"certificate {', '.join(source.names)}"):
                        source.obtain(host, progress, timeout_s)
                    obtained = True
                except TljhError as error:
                    # A certificate from an earlier run may still have to be served.
                    refusal = error
        if applied.config.https.effective_mode == "tls":
            await_pair(host, applied.config.https)
        exchanged = serve(host, paths, progress)
        if refusal is not None:
            raise _with_days_left(refusal, host, paths)
    return Renewed(obtained, exchanged, waits_until)


def is_due(host: HostReader, source: AcmeSource) -> bool:
    """Return whether the authority's certificate is missing, or past its time of renewal."""
    pair = source.obtained_pair(host, utc_now())
    return pair is None or utc_now() >= source.renewal_time(read_details(pair.chain))


def _retry_time(host: HostReader, source: AcmeSource) -> datetime | None:
    """Return the end of the backoff after earlier failures; None if it is over."""
    current_time = utc_now()
    pair = source.valid_pair(host, current_time)
    details = read_details(pair.chain) if pair else None
    retry = source.retry_time(host, details, current_time)
    return retry if retry and retry > current_time else None


def serve(host: Host, paths: Paths, progress: Progress) -> bool:
    """Have Traefik serve the newest available certificate; return whether it is another one.

    The caller holds the lock of an apply.
    """
    applied = read_applied(host, paths)
    for resource in authority_resources(applied.facts, paths):
        if resource.difference(host):
            resource.apply(host, progress)
    certificates = certificates_to_serve(applied.config, applied.facts)
    if not certificates:
        return False
    if configured_pair(host, paths) == certificates[0]:
        remove_unused_pairs(host, paths)
        return False
    if applied.config.https.effective_mode == "tls":
        # Traefik may refuse a file that passed our own checks, so it tries the pair first. The
        # admins' drop-ins may have pending edits, which are not this command's to try: leave
        # them out.
        facts = with_files(applied.facts, {})
        with progress.step("check that Traefik can load the certificate"):
            candidate = proxy_configuration(applied.config, facts, paths)
            try_traefik(host, facts, paths, candidate)
    with progress.step("check that the proxy serves the new certificate"):
        _swap_checked(host, applied, certificates[0])
    return True


def _swap_checked(host: Host, applied: Applied, certificate: TlsPair) -> None:
    paths = applied.paths
    image = read_image(host, paths.traefik_tls_file)
    swap_certificate(host, dynamic_inputs(applied.config, applied.facts, paths), certificate)
    if not host.unit(PROXY_UNIT).is_active:
        return  # Traefik reads the new certificate when it starts
    try:
        wait_until_served(host, https_endpoint(applied.config), certificate.chain)
    except BaseException:
        # Also after Ctrl-C: a certificate that was never seen at the port must not stay.
        restore_image(host, image)
        raise
    remove_unused_pairs(host, paths)


def _with_days_left(error: TljhError, host: HostReader, paths: Paths) -> TljhError:
    """Add to an authority's refusal how long the served certificate is valid, and a retry."""
    *others, last = error.findings
    why, chain = last.why, configured_chain(host, paths)
    if chain is not None:
        left = read_details(chain).days_left(utc_now())
        note = f"the certificate that is served is good for another {left:.1f} days"
        why = f"{why}\n{note}" if why else note
    extended = Finding(last.what, last.where, why, with_retry(last.fix))
    return TljhError([*others, extended], exit_code=error.exit_code)


def with_retry(fix: str | None) -> str:
    """Return a fix, followed by the command that asks the authority at once.

    Without it nothing would happen: the timer waits after failures, and for `reload` nothing
    changed.
    """
    return f"{fix}; then: {ISSUE_COMMAND}" if fix else ISSUE_COMMAND


@dataclass(frozen=True)
class CertificateState:
    """The state of the certificate that users' browsers see; `mode` is None without HTTPS.

    `problem` is why the port does not serve it, `complaints` why browsers would warn of it, as far
    as this machine can know; `trust` is for mode internal.
    """

    mode: str | None
    names: tuple[str, ...] = ()
    authority: str | None = None
    about: CertificateDetails | None = None
    problem: str | None = None
    renewal: datetime | None = None
    next_try: datetime | None = None
    last_error: dict[str, object] | None = None
    complaints: tuple[str, ...] = ()
    trust: TrustAdvice | None = None

    @property
    def is_due(self) -> bool:
        return self.renewal is not None and self.renewal <= utc_now()


def read_certificate_state(host: HostReader, paths: Paths) -> CertificateState:
    """Compare the applied configuration, Traefik's files and what the port serves."""
    applied = read_applied(host, paths)
    mode = applied.config.https.effective_mode
    if mode is None:
        return CertificateState(None)
    names = tuple(applied.config.https.names)
    chain = configured_chain(host, paths)
    if chain is None:
        return CertificateState(mode, names, problem="the proxy has no certificate to serve")
    about = read_details(chain)
    problem = served_problem(host, https_endpoint(applied.config), chain)
    source = applied.source
    complaints = tuple(_complaints(about, names, source))
    if source is None:
        authority = applied.facts.of(CertificateFacts).authority
        return CertificateState(
            mode,
            names,
            about.issuer,
            about,
            problem,
            renewal=about.not_after - about.lifetime / 3 if mode == "internal" else None,
            last_error=_refused_files(applied) if mode == "tls" else None,
            complaints=complaints,
            trust=trust_advice(applied.config, authority) if authority else None,
        )
    return CertificateState(
        mode,
        names,
        source.authority,
        about,
        problem,
        # A certificate taken over from Traefik's own ACME is replaced at the next renewal.
        source.renewal_time(about) if source.obtained_pair(host, utc_now()) else utc_now(),
        _retry_time(host, source),
        source.last_error(host),
        complaints,
    )


def _refused_files(applied: Applied) -> dict[str, object] | None:
    """Return why Traefik does not serve the admin's own files, as the last error's JSON."""
    files = applied.facts.of(CertificateFacts).files
    served = applied.facts.of(ProxyFacts).served
    finding = next(unserved_findings(applied.config.https, files, served), None)
    return {**finding.as_json(), "at": None} if finding else None


def _complaints(
    about: CertificateDetails, names: Sequence[str], source: AcmeSource | None
) -> Iterator[str]:
    if about.not_after <= utc_now():
        yield "it has expired"
    elif not about.is_valid(utc_now()):
        yield f"it is not valid before {about.not_before:%Y-%m-%d %H:%M} UTC"
    if source is not None and source.request.server == STAGING:
        yield "it is from the test authority, which no browser trusts"
    elif about.is_self_signed:
        yield "it is self-signed"
    yield from (f"it is not for {name}" for name in names if not covers(name, about.names))
    if not about.names:
        yield "it names no host (no subjectAltName)"
