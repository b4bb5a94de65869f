"""Certificates by ACME: the stored one, a new one, and the outcome of earlier attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import PROXY_UNIT
from tljh.certificates.acme_preflight import ANSWER_S, check_ahead
from tljh.certificates.acme_request import (
    CHALLENGE_PORT,
    AcmeRequest,
    acme_request,
    renewal_time,
    retry_time,
)
from tljh.certificates.acme_store import (
    Attempts,
    read_ledger,
    read_pair,
    read_valid_pair,
    write_ledger,
    write_pair,
)
from tljh.certificates.certbot import Certbot, ChallengeAddress, kept_proxies
from tljh.certificates.traefik_acme_json import certificate_from
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

    def valid_pair(self, host: HostReader, now: datetime) -> TlsPair | None:
        """Return the pair to serve: obtained for this request, or by Traefik's own ACME client."""
        return self.obtained_pair(host, now) or self._taken_over(host, now)

    def _taken_over(
        self, host: HostReader, now: datetime, served: bytes | None = None
    ) -> TlsPair | None:
        data = host.read(self.paths.traefik_acme)
        return certificate_from(data, self.request.names, now, served) if data else None

    def available(self, host: HostReader, now: datetime, served: bytes | None) -> TlsPair | None:
        """Return the pair of `valid_pair`, or an expired one whose chain `served` is served now.

        Without the expired one, no change of any kind could be applied while the certificate
        authority is down. The timer renews it, and `tljh status` reports that it is overdue.
        """
        pair = self.valid_pair(host, now)
        if pair is None:
            expired = read_pair(host, self.paths, self.request.key)
            if expired and expired.chain == served:
                return expired
            pair = self._taken_over(host, now, served)
        return pair

    def obtained_pair(self, host: HostReader, now: datetime) -> TlsPair | None:
        """Return the valid pair that was obtained for this request, and not taken over."""
        return read_valid_pair(host, self.paths, self.request.key, now)

    def obtain(self, host: Host, progress: Progress, timeout_s: float | None = None) -> TlsPair:
        """Obtain a new pair and store it. Raises TljhError; the attempt is recorded in any case."""
        attempts = self._attempts(host, utc_now())
        was_asked = False
        try:
            for note in self.preflight(host, timeout_s):
                progress.note(note)
            was_asked = True
            listen = self._challenge_address(host)
            deadline_s = timeout_s or self.request.deadline_s
            certificate = self._certbot.obtain(host, self.request, listen, deadline_s)
        except TljhError as error:
            first = error.findings[0].as_json()
            failed = attempts.after_failure(utc_now(), first, was_asked=was_asked)
            write_ledger(host, self.paths, self.request, failed)
            raise
        now = utc_now()
        write_pair(host, self.paths, self.request.key, certificate, now)
        write_ledger(host, self.paths, self.request, attempts.after_success(now))
        return certificate

    def preflight(self, host: HostReader, timeout_s: float | None = None) -> list[str]:
        """Return notes on what may fail. Raises TljhError for what cannot succeed."""
        attempts = self._attempts(host, utc_now())
        instance = (host.read(self.paths.instance) or b"").decode().strip()
        is_proxied = bool(kept_proxies(host, self.paths))
        return check_ahead(
            host,
            self.request,
            attempts,
            utc_now(),
            instance=instance,
            is_proxied=is_proxied,
            timeout_s=min(timeout_s, ANSWER_S) if timeout_s else None,
        )

    @property
    def _certbot(self) -> Certbot:
        return Certbot(self.hub / "bin" / "certbot", self.paths)

    def _challenge_address(self, host: HostReader) -> ChallengeAddress:
        """Return an address behind Traefik, or the public one before Traefik is installed."""
        if host.unit(PROXY_UNIT).is_active:
            return ChallengeAddress("127.0.0.1", CHALLENGE_PORT)
        return self.http

    def renewal_time(self, details: CertificateDetails) -> datetime:
        """Return when a certificate is due for renewal."""
        return renewal_time(details.not_before, details.not_after)

    def retry_time(
        self, host: HostReader, details: CertificateDetails | None, now: datetime
    ) -> datetime | None:
        """Return when to retry after failures; None for at once.

        Without a certificate (`details` is None), users wait for one: the backoff stays short.
        """
        failed = self._attempts(host, now).failed
        left = details.not_after - now if details else timedelta(hours=10)
        return retry_time(failed, left)

    def last_error(self, host: HostReader) -> dict[str, object] | None:
        """Return the finding of the last attempt with its time (`at`), if that attempt failed."""
        return read_ledger(host, self.paths).of(self.request).error

    def _attempts(self, host: HostReader, now: datetime) -> Attempts:
        return read_ledger(host, self.paths).of(self.request).as_of(now)


def acme_source(config: Config, paths: Paths, hub_environment: Path) -> AcmeSource:
    """Return the source for `https.letsencrypt`, with the certbot of a hub environment."""
    return AcmeSource(
        acme_request(config),
        paths,
        hub_environment,
        ChallengeAddress(config.http.address, config.http.port),
    )
