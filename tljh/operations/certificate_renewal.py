"""Keeping the served certificate the right one, between two reloads.

`tljh cert renew`, which a timer calls, and whoever else finds that a certificate changed. Works
from the configuration that was applied, not from what has been edited since, and touches
nothing but the certificate: an exchange of Traefik's dynamic files, undone when the port does
not serve it.
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
from tljh.proxy.traefik_dynamic import TLS_FILE

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 60.0


AGAIN = "sudo tljh cert issue"


@dataclass(frozen=True)
class Applied:
    """What runs: the configuration as it was applied, and the machine now."""

    config: Config
    facts: Facts
    paths: Paths

    @property
    def source(self) -> AcmeSource | None:
        """Whom certificates are asked of; None in other modes and while HTTPS is off."""
        if self.config.https.effective_mode != "letsencrypt":
            return None
        return acme_source(self.config, self.paths, self.facts.hub_environment)


def applied(host: HostReader, paths: Paths) -> Applied:
    """Raises TljhError where nothing is installed."""
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
    """What became of it: `obtained` a new one, `exchanged` the one that is served."""

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
    """Get a new certificate if one is due, or `at_once`, and have the right one served.

    Raises TljhError when either fails; then the certificate served before still is.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, Journal(paths.journal_dir), progress, config_lock(host, paths))
        now = applied(host, paths)
        refused: TljhError | None = None
        obtained, waits_until = False, None
        if now.source is not None:
            due = at_once or is_due(host, now.source)
            waits_until = None if at_once or not due else _waiting(host, now.source)
            if due and waits_until is None:
                try:
                    with progress.step(f"certificate {', '.join(now.source.names)}"):
                        now.source.obtain(host, progress, timeout_s)
                    obtained = True
                except TljhError as error:
                    refused = error
        if now.config.https.effective_mode == "tls":
            await_pair(host, now.config.https)
        exchanged = serve(host, paths, progress)
        if refused is not None:
            raise _as_refused(refused, host, paths)
    return Renewed(obtained, exchanged, waits_until)


def is_due(host: HostReader, source: AcmeSource) -> bool:
    found = source.obtained_pair(host, utc_now())
    return found is None or utc_now() >= source.renewal_time(read_details(found.chain))


def _waiting(host: HostReader, source: AcmeSource) -> datetime | None:
    """Until when earlier failures ask for patience; None when it is over."""
    now = utc_now()
    found = source.valid_pair(host, now)
    until = source.retry_time(host, read_details(found.chain) if found else None, now)
    return until if until and until > now else None


def serve(host: Host, paths: Paths, progress: Progress) -> bool:
    """Have the port serve what is at hand; whether that was anything new. Holds no lock."""
    now = applied(host, paths)
    for resource in authority_resources(now.facts, paths):
        if resource.difference(host):
            resource.apply(host, progress)
    certificates = certificates_to_serve(now.config, now.facts)
    if not certificates:
        return False
    if configured_pair(host, paths) == certificates[0]:
        remove_unused_pairs(host, paths)
        return False
    if now.config.https.effective_mode == "tls":
        # Judged before, but Traefik has the last word. Admins' own files are not in question:
        # what has been edited in them since the last reload is none of this command's business.
        facts = with_files(now.facts, {})
        with progress.step("check: Traefik can load the certificate"):
            candidate = proxy_configuration(now.config, facts, paths)
            try_traefik(host, facts, paths, candidate)
    with progress.step("proxy: takes up the certificate"):
        _exchange_checked(host, now, certificates[0])
    return True


def _exchange_checked(host: Host, now: Applied, certificate: TlsPair) -> None:
    file = now.paths.traefik_dir / "dynamic" / TLS_FILE
    image = read_image(host, file)
    swap_certificate(host, dynamic_inputs(now.config, now.facts, now.paths), certificate)
    if not host.unit("traefik.service").is_active:
        return  # whoever stopped it finds the new one when it starts
    try:
        wait_until_served(host, https_endpoint(now.config), certificate.chain)
    except BaseException:
        restore_image(host, image)
        raise
    remove_unused_pairs(host, now.paths)


def _as_refused(error: TljhError, host: HostReader, paths: Paths) -> TljhError:
    """The same with the days that are left, and the command that asks again at once."""
    *others, last = error.findings
    why, chain = last.why, configured_chain(host, paths)
    if chain is not None:
        left = read_details(chain).days_left(utc_now())
        note = f"the certificate that is served is good for another {left:.1f} days"
        why = f"{why}\n{note}" if why else note
    told = Finding(last.what, last.where, why, then_again(last.fix))
    return TljhError([*others, told], exit_code=error.exit_code)


def then_again(fix: str | None) -> str:
    """A fix, and then asking again: the timer waits after failures, `reload` sees no change."""
    return f"{fix}; then: {AGAIN}" if fix else AGAIN


@dataclass(frozen=True)
class Standing:
    """How things are with the certificate that people meet."""

    mode: str | None
    names: tuple[str, ...] = ()
    authority: str | None = None
    about: CertificateDetails | None = None
    problem: str | None = None
    renewal: datetime | None = None
    next_try: datetime | None = None
    last_error: dict[str, object] | None = None
    # Why browsers would warn of it, as far as can be seen from here.
    complaints: tuple[str, ...] = ()
    # The machine's own authority, in mode internal.
    trust: TrustAdvice | None = None

    @property
    def is_due(self) -> bool:
        return self.renewal is not None and self.renewal <= utc_now()


def standing(host: HostReader, paths: Paths) -> Standing:
    """Look at what was applied, at Traefik's files and at the port."""
    now = applied(host, paths)
    mode = now.config.https.effective_mode
    if mode is None:
        return Standing(None)
    names = tuple(now.config.https.names)
    chain = configured_chain(host, paths)
    if chain is None:
        return Standing(mode, names, problem="the proxy has no certificate to serve")
    about = read_details(chain)
    problem = served_problem(host, https_endpoint(now.config), chain)
    source = now.source
    complaints = tuple(_complaints(about, names, source))
    if source is None:
        own = now.facts.of(CertificateFacts).authority
        return Standing(
            mode,
            names,
            about.issuer,
            about,
            problem,
            renewal=about.not_after - about.lifetime / 3 if mode == "internal" else None,
            last_error=_refused_files(now) if mode == "tls" else None,
            complaints=complaints,
            trust=trust_advice(now.config, own) if own else None,
        )
    return Standing(
        mode,
        names,
        source.authority,
        about,
        problem,
        # What was taken over is replaced as soon as the authority gives one.
        source.renewal_time(about) if source.obtained_pair(host, utc_now()) else utc_now(),
        _waiting(host, source),
        source.last_error(host),
        complaints,
    )


def _refused_files(now: Applied) -> dict[str, object] | None:
    """Why somebody's own files are not what is served."""
    https, facts = now.config.https, now.facts
    found = next(
        unserved_findings(https, facts.of(CertificateFacts).files, facts.of(ProxyFacts).served),
        None,
    )
    return {**found.as_json(), "at": None} if found else None


def _complaints(
    about: CertificateDetails, names: Sequence[str], source: AcmeSource | None
) -> Iterator[str]:
    if about.not_after <= utc_now():
        yield "it has expired"
    elif not about.is_valid(utc_now()):
        yield f"it is not valid before {about.not_before:%Y-%m-%d %H:%M} UTC"
    if source is not None and source.request.server == STAGING:
        yield "it is of the test authority, which no browser trusts"
    elif about.is_self_signed:
        yield "it is self-signed"
    yield from (f"it is not for {name}" for name in names if not covers(name, about.names))
    if not about.names:
        yield "it names no host (no subjectAltName)"
