"""Certificates by ACME: the stored one, a new one, and the outcome of earlier attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import PROXY_UNIT
from tljh.certificates.acme_preflight import ANSWER_S, check_ahead
from tljh.certificates.acme_request import (
    CHALLENGE_PORT,
    AcmeRequest,
    build_acme_request,
    compute_renewal_time,
    compute_retry_time,
)
from tljh.certificates.acme_store import (
    RequestAttempts,
    read_ledger,
    read_pair,
    read_valid_pair,
    write_ledger,
    write_pair,
)
from tljh.certificates.certbot import Certbot, ChallengeAddress, read_kept_proxies
from tljh.certificates.traefik_acme_json import find_certificate
from tljh.certificates.x509 import CertificateDetails, TlsPair
from tljh.host.interface import Host, HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class AcmeSource:
    """One ACME request of this machine; `http` answers its challenges if Traefik does not run."""

    request: AcmeRequest
    paths: Paths
    hub: Path
    http: ChallengeAddress

    @property
    def names(self) -> tuple[str, ...]:
        return self.request.names

    @property
    def authority(self) -> str:
        return self.request.authority

    def valid_pair(self, host: HostReader, current_time: datetime) -> TlsPair | None:
        """Return the unexpired certificate and key for this request; None without one.

        They were obtained by tljh, or taken over from the file of Traefik's own ACME client.
        """
        return self.obtained_pair(host, current_time) or self._taken_over(host, current_time)

    def _taken_over(
        self, host: HostReader, current_time: datetime, served: bytes | None = None
    ) -> TlsPair | None:
        data = host.read(self.paths.traefik_acme)
        return find_certificate(data, self.request.names, current_time, served) if data else None

    def available(
        self, host: HostReader, current_time: datetime, served: bytes | None
    ) -> TlsPair | None:
        """Return the pair to serve: an unexpired one, or else the one that is `served` now.

        Without the expired one, no change of any kind could be applied while the certificate
        authority is down. The timer renews it, and `tljh status` reports that it is overdue.
        `served` is the chain in PEM that Traefik serves.
        """
        pair = self.valid_pair(host, current_time)
        if pair is None:
            expired = read_pair(host, self.paths, self.request.key)
            if expired and expired.chain == served:
                return expired
            pair = self._taken_over(host, current_time, served)
        return pair

    def obtained_pair(self, host: HostReader, current_time: datetime) -> TlsPair | None:
        """Return the unexpired pair that tljh obtained itself, not one taken over from Traefik."""
        return read_valid_pair(host, self.paths, self.request.key, current_time)

    def obtain(self, host: Host, progress: Progress, timeout_s: float | None = None) -> TlsPair:
        """Obtain a new pair and store it. Raises TljhError; the attempt is recorded in any case."""
        attempts = self._attempts(host, get_utc_time())
        was_asked = False
        try:
            for note in self.preflight(host, timeout_s):
                progress.note(note)
            # Only an attempt that reaches the CA counts against its rate limits.
            was_asked = True
            listen = self._challenge_address(host)
            deadline_s = timeout_s or self.request.deadline_s
            certificate = self._certbot.obtain(host, self.request, listen, deadline_s)
        except TljhError as error:
            first = error.findings[0].as_json()
            failed = attempts.after_failure(get_utc_time(), first, was_asked=was_asked)
            write_ledger(host, self.paths, self.request, failed)
            raise
        current_time = get_utc_time()
        # First the certificate, which a kill between the two writes must not lose: a CA issues only
        # a few for the same names each week.
        write_pair(host, self.paths, self.request.key, certificate, current_time)
        write_ledger(host, self.paths, self.request, attempts.after_success(current_time))
        return certificate

    def preflight(self, host: HostReader, timeout_s: float | None = None) -> list[str]:
        """Check what a request needs; return notes on what may fail.

        Raises TljhError for what cannot succeed.
        """
        attempts = self._attempts(host, get_utc_time())
        instance = (host.read(self.paths.instance) or b"").decode().strip()
        is_proxied = bool(read_kept_proxies(host, self.paths))
        return check_ahead(
            host,
            self.request,
            attempts,
            get_utc_time(),
            instance=instance,
            is_proxied=is_proxied,
            timeout_s=min(timeout_s, ANSWER_S) if timeout_s else None,
        )

    @property
    def _certbot(self) -> Certbot:
        return Certbot(self.hub / "bin" / "certbot", self.paths)

    def _challenge_address(self, host: HostReader) -> ChallengeAddress:
        """Return where certbot listens for the authority's HTTP challenge.

        It is an address behind Traefik, or the public port before Traefik is installed.
        """
        if host.unit(PROXY_UNIT).is_active:
            return ChallengeAddress("127.0.0.1", CHALLENGE_PORT)
        return self.http

    def renewal_time(self, details: CertificateDetails) -> datetime:
        """Return when a certificate is due for renewal."""
        return compute_renewal_time(details.not_before, details.not_after)

    def retry_time(
        self, host: HostReader, details: CertificateDetails | None, current_time: datetime
    ) -> datetime | None:
        """Return when to retry after failures; None for at once.

        Without a certificate (`details` is None), users wait for one: the backoff stays short.
        """
        failed = self._attempts(host, current_time).failed
        remaining = details.not_after - current_time if details else timedelta(hours=10)
        return compute_retry_time(failed, remaining)

    def last_error(self, host: HostReader) -> dict[str, object] | None:
        """Return the finding of the last attempt with its time (`at`), if that attempt failed."""
        return read_ledger(host, self.paths).of(self.request).error

    def _attempts(self, host: HostReader, current_time: datetime) -> RequestAttempts:
        return read_ledger(host, self.paths).of(self.request).as_of(current_time)


def choose_acme_source(config: Config, paths: Paths, hub_environment: Path) -> AcmeSource:
    """Return the source for `https.letsencrypt`, with the certbot of a hub environment."""
    return AcmeSource(
        build_acme_request(config),
        paths,
        hub_environment,
        ChallengeAddress(config.http.address, config.http.port),
    )
