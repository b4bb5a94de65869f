"""Certificates by ACME: the one that is at hand, a new one, and what came of earlier attempts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import utc_now
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
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
from tljh.certificates.traefik_acme_json import FILE as ACME_JSON
from tljh.certificates.traefik_acme_json import certificate_from
from tljh.certificates.x509 import CertificateDetails, TlsPair
from tljh.host.interface import Host, HostReader

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class AcmeSource:
    """One request of this machine, and where challenges are answered without Traefik."""

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
        """The one to serve: obtained from the authority, or taken over from Traefik's own ACME."""
        return self.obtained_pair(host, now) or self._taken_over(host, now)

    def _taken_over(
        self, host: HostReader, now: datetime, served: bytes | None = None
    ) -> TlsPair | None:
        data = host.read(self.paths.state_dir / ACME_JSON)
        return certificate_from(data, self.request.names, now, served) if data else None

    def available(self, host: HostReader, now: datetime, served: bytes | None) -> TlsPair | None:
        """Return the pair of `held`, or an expired one whose chain `served` is served now.

        Without the expired one, no change of any kind could be applied while the certificate
        authority is down. The timer renews it, and `tljh status` reports that it is overdue.
        """
        found = self.valid_pair(host, now)
        if found is None:
            kept = read_pair(host, self.paths, self.request.key)
            if kept and kept.chain == served:
                return kept
            found = self._taken_over(host, now, served)
        return found

    def obtained_pair(self, host: HostReader, now: datetime) -> TlsPair | None:
        """The one that this request was answered with; nobody else's."""
        return read_valid_pair(host, self.paths, self.request.key, now)

    def obtain(self, host: Host, progress: Progress, timeout_s: float | None = None) -> TlsPair:
        attempts = self._attempts(host, utc_now())
        was_asked = False
        try:
            for doubt in self.preflight(host, timeout_s):
                progress.note(doubt)
            was_asked = True
            certificate = self._certbot.obtain(
                host, self.request, self._listener(host), timeout_s or self.request.deadline_s
            )
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
        """What looks as if a certificate would be refused; raises TljhError for what is sure."""
        attempts = self._attempts(host, utc_now())
        instance = (host.read(self.paths.state_dir / "instance") or b"").decode().strip()
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

    def _listener(self, host: HostReader) -> ChallengeAddress:
        """Behind Traefik; at the public port itself while no Traefik runs, as in an install."""
        if host.unit("traefik.service").is_active:
            return ChallengeAddress("127.0.0.1", CHALLENGE_PORT)
        return self.http

    def renewal_time(self, about: CertificateDetails) -> datetime:
        """When a new one is due."""
        return renewal_time(about.not_before, about.not_after)

    def retry_time(
        self, host: HostReader, about: CertificateDetails | None, now: datetime
    ) -> datetime | None:
        """Until when to leave the authority alone after failures; None for not at all."""
        failed = self._attempts(host, now).failed
        left = about.not_after - now if about else timedelta(hours=10)
        return retry_time(failed, left)

    def last_error(self, host: HostReader) -> dict[str, object] | None:
        """The finding of the last attempt, if it failed, and when that was (`at`)."""
        return read_ledger(host, self.paths).of(self.request).error

    def _attempts(self, host: HostReader, now: datetime) -> Attempts:
        return read_ledger(host, self.paths).of(self.request).as_of(now)


def acme_source(config: Config, paths: Paths, hub_environment: Path) -> AcmeSource:
    return AcmeSource(
        acme_request(config),
        paths,
        hub_environment,
        ChallengeAddress(config.http.address, config.http.port),
    )
