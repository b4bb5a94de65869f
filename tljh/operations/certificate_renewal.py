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

from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding, TljhError
from tljh.base.interruptions import held_back, let_through
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import PROXY_UNIT
from tljh.certificates.acme import AcmeSource, choose_acme_source
from tljh.certificates.acme_request import STAGING
from tljh.certificates.authority_trust import TrustAdvice, build_trust_advice
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.local_authority import Authority
from tljh.certificates.machine_names import find_machine_names
from tljh.certificates.own_files import await_pair, find_unserved
from tljh.certificates.resources import build_authority_resources
from tljh.certificates.x509 import CertificateDetails, TlsPair, covers, read_details
from tljh.engine.apply import recover
from tljh.engine.facts import Facts
from tljh.engine.file_resources import read_image, restore_image
from tljh.engine.journal import Journal
from tljh.host.interface import Host, HostReader
from tljh.operations.facts import read_facts, replace_files
from tljh.operations.installed_config import get_config_lock, load_configuration
from tljh.proxy.facts import ProxyFacts
from tljh.proxy.guard import try_traefik
from tljh.proxy.resources import (
    build_proxy_configuration,
    choose_certificates,
    collect_dynamic_inputs,
)
from tljh.proxy.served_certificate import (
    find_served_problem,
    get_https_endpoint,
    read_configured_chain,
    read_configured_pair,
    remove_unused_pairs,
    swap_certificate,
    wait_until_served,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 60.0

ISSUE_COMMAND = "sudo tljh cert issue"


@dataclass(frozen=True)
class AppliedConfig:
    """The applied configuration, and the facts of the machine as it is."""

    config: Config
    facts: Facts
    paths: Paths

    @property
    def source(self) -> AcmeSource | None:
        """The authority that issues certificates; None in other modes and while HTTPS is off."""
        if self.config.https.effective_mode != "letsencrypt":
            return None
        return choose_acme_source(self.config, self.paths, self.facts.hub_environment)


def read_applied(host: HostReader, paths: Paths) -> AppliedConfig:
    """Read the configuration that was applied last. Raises TljhError if none was."""
    journal = Journal(paths.journal_dir, paths.manifest)
    numbers = journal.numbers(host)
    if not numbers:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            fix="install one: sudo python3 bootstrap.py --admin NAME",
        )
    data = journal.entry(host, numbers[-1]).files.get("config.yaml", b"")
    config = load_configuration(host, paths, data)
    return AppliedConfig(config, read_facts(host, config, paths), paths)


@dataclass(frozen=True)
class RenewalResult:
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
) -> RenewalResult:
    """Obtain a new certificate if one is due, or `at_once`, and make Traefik serve it.

    Raises TljhError when either fails; then Traefik still serves the previous certificate.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, Journal(paths.journal_dir), progress, get_config_lock(host, paths))
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
            raise _add_days_left(refusal, host, paths)
    return RenewalResult(obtained, exchanged, waits_until)


def is_due(host: HostReader, source: AcmeSource) -> bool:
    """Return whether the CA's certificate is missing, or has less than a third of its life left."""
    pair = source.obtained_pair(host, get_utc_time())
    return pair is None or get_utc_time() >= source.renewal_time(read_details(pair.chain))


def _retry_time(host: HostReader, source: AcmeSource) -> datetime | None:
    """Return when the pause after failed attempts ends; None if it is over."""
    current_time = get_utc_time()
    pair = source.valid_pair(host, current_time)
    details = read_details(pair.chain) if pair else None
    retry = source.retry_time(host, details, current_time)
    return retry if retry and retry > current_time else None


def serve(host: Host, paths: Paths, progress: Progress) -> bool:
    """Make Traefik serve the newest available certificate; return whether it changed.

    The caller holds the lock of an apply.
    """
    applied = read_applied(host, paths)
    for resource in build_authority_resources(applied.facts, paths):
        if resource.difference(host):
            resource.apply(host, progress)
    certificates = choose_certificates(applied.config, applied.facts)
    if not certificates:
        return False
    if read_configured_pair(host, paths) == certificates[0]:
        remove_unused_pairs(host, paths)
        return False
    if applied.config.https.effective_mode == "tls":
        # Traefik may refuse a file that passed our own checks, so it tries the pair first. The
        # admins' drop-ins may have pending edits, which are not this command's to try: leave
        # them out.
        facts = replace_files(applied.facts, {})
        with progress.step("try the certificate in Traefik"):
            candidate = build_proxy_configuration(applied.config, facts, paths)
            try_traefik(host, facts, paths, candidate)
    with progress.step("wait for the new certificate at the port"):
        _swap_checked(host, applied, certificates[0])
    return True


def _swap_checked(host: Host, applied: AppliedConfig, certificate: TlsPair) -> None:
    paths = applied.paths
    with held_back():
        image = read_image(host, paths.traefik_tls_file)
        swap_certificate(
            host, collect_dynamic_inputs(applied.config, applied.facts, paths), certificate
        )
        if not host.unit(PROXY_UNIT).is_active:
            return  # Traefik reads the new certificate when it starts
        try:
            with let_through():
                wait_until_served(host, get_https_endpoint(applied.config), certificate.chain)
        except BaseException:
            # Also after Ctrl-C: a certificate that was never seen at the port must not stay.
            restore_image(host, image)
            raise
    remove_unused_pairs(host, paths)


def _add_days_left(error: TljhError, host: HostReader, paths: Paths) -> TljhError:
    """Add to a CA's refusal how long the served certificate is still valid, and how to retry."""
    *others, last = error.findings
    why, chain = last.why, read_configured_chain(host, paths)
    if chain is not None:
        days_left = read_details(chain).days_left(get_utc_time())
        note = f"the certificate that is served is good for another {days_left:.1f} days"
        why = f"{why}\n{note}" if why else note
    extended = Finding(last.what, last.where, why, append_retry(last.fix))
    return TljhError([*others, extended], exit_code=error.exit_code)


def append_retry(fix: str | None) -> str:
    """Append to a fix the command that requests a certificate at once.

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
    # Names and addresses of this machine that the certificate of mode internal lacks: those that
    # a renewal adds, and those that this machine's CA may not certify.
    missing_names: tuple[str, ...] = ()
    forbidden_names: tuple[str, ...] = ()

    @property
    def is_due(self) -> bool:
        return self.renewal is not None and self.renewal <= get_utc_time()


def read_certificate_state(host: HostReader, paths: Paths) -> CertificateState:
    """Read which certificate is configured, which one Traefik has, and which the port serves."""
    applied = read_applied(host, paths)
    mode = applied.config.https.effective_mode
    if mode is None:
        return CertificateState(None)
    names = tuple(applied.config.https.names)
    chain = read_configured_chain(host, paths)
    if chain is None:
        return CertificateState(mode, names, problem="the proxy has no certificate to serve")
    about = read_details(chain)
    problem = find_served_problem(host, get_https_endpoint(applied.config), chain)
    source = applied.source
    complaints = tuple(_find_complaints(about, names, source))
    if source is None:
        authority = applied.facts.of(CertificateFacts).authority
        missing: tuple[str, ...] = ()
        forbidden: tuple[str, ...] = ()
        if authority is not None:
            missing, forbidden = _find_missing_names(host, applied.config, authority, about)
            complaints += tuple(f"it is not for {name}" for name in (*missing, *forbidden))
        return CertificateState(
            mode,
            names,
            about.issuer,
            about,
            problem,
            renewal=about.not_after - about.lifetime / 3 if mode == "internal" else None,
            last_error=_find_refused_files(applied) if mode == "tls" else None,
            complaints=complaints,
            trust=build_trust_advice(applied.config, authority) if authority else None,
            missing_names=missing,
            forbidden_names=forbidden,
        )
    return CertificateState(
        mode,
        names,
        source.authority,
        about,
        problem,
        # A certificate taken over from Traefik's own ACME is replaced at the next renewal.
        source.renewal_time(about)
        if source.obtained_pair(host, get_utc_time())
        else get_utc_time(),
        _retry_time(host, source),
        source.last_error(host),
        complaints,
    )


def _find_refused_files(applied: AppliedConfig) -> dict[str, object] | None:
    """Return why Traefik does not serve the admin's own files, as a finding in JSON."""
    files = applied.facts.of(CertificateFacts).files
    served = applied.facts.of(ProxyFacts).served
    finding = next(find_unserved(applied.config.https, files, served), None)
    return {**finding.as_json(), "at": None} if finding else None


def _find_missing_names(
    host: HostReader, config: Config, authority: Authority, about: CertificateDetails
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return names of this machine that the certificate lacks: for a renewal, and forbidden ones.

    IPv6 addresses that this machine's CA may not certify are left out: users do not type them,
    and many networks change them by themselves.
    """
    certified = read_details(authority.hub).names
    missing = tuple(name for name in certified if name not in about.names)
    names = find_machine_names(host, config.https.domains)
    present = {*certified, *about.names}
    return missing, tuple(name for name in names if name not in present and ":" not in name)


def _find_complaints(
    about: CertificateDetails, names: Sequence[str], source: AcmeSource | None
) -> Iterator[str]:
    if about.not_after <= get_utc_time():
        yield "it has expired"
    elif not about.is_valid(get_utc_time()):
        yield f"it is not valid before {about.not_before:%Y-%m-%d %H:%M} UTC"
    if source is not None and source.request.server == STAGING:
        yield "it is from the test authority, which no browser trusts"
    elif about.is_self_signed:
        yield "it is self-signed"
    yield from (f"it is not for {name}" for name in names if not covers(name, about.names))
    if not about.names:
        yield "it names no host (no subjectAltName)"
