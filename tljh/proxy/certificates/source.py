"""Where certificates come from: what every mode of HTTPS can be asked.

`tljh cert`, the timer and `reload` know certificates through this alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tljh.errors import TljhError
from tljh.host.base import Host, HostReader
from tljh.output import Progress
from tljh.paths import Paths
from tljh.proxy.certificates.acme import (
    CHALLENGE_PORT,
    AcmeRequest,
    acme_request,
    renewal_time,
)
from tljh.proxy.certificates.certbot import Certbot, Listener
from tljh.proxy.certificates.pair import Details, utc_now
from tljh.proxy.certificates.preflight import look_ahead
from tljh.proxy.certificates.store import held, keep, read_ledger, write_ledger
from tljh.proxy.certificates.takeover import FILE as ACME_JSON
from tljh.proxy.certificates.takeover import certificate_from
from tljh.proxy.dynamic import Certificate

if TYPE_CHECKING:
    from tljh.config import Config


class Source(Protocol):
    """A way to come by the hub's certificate."""

    @property
    def mode(self) -> str:
        """The value of `https.mode`."""

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def authority(self) -> str:
        """Whom the certificate is from."""

    def held(self, host: HostReader, now: datetime) -> Certificate | None:
        """The one that is at hand and has not expired."""

    def obtain(self, host: Host, progress: Progress, timeout_s: float | None = None) -> Certificate:
        """Get a new one, which `held` gives from then on; raises TljhError with the reason."""

    def renewal(self, about: Details) -> datetime | None:
        """When a new one is due; None where renewing is somebody else's business."""

    def next_try(self, host: HostReader, about: Details | None, now: datetime) -> datetime | None:
        """Until when to leave the authority alone after failures; None for not at all."""

    def last_error(self, host: HostReader) -> dict[str, object] | None:
        """The finding of the last attempt, if it failed, and `at`."""


@dataclass(frozen=True)
class AcmeSource:
    """Certificates by ACME, from Let's Encrypt or another authority."""

    request: AcmeRequest
    paths: Paths
    hub: Path
    http: Listener

    @property
    def mode(self) -> str:
        return "letsencrypt"

    @property
    def names(self) -> tuple[str, ...]:
        return self.request.names

    @property
    def authority(self) -> str:
        return self.request.authority

    def held(self, host: HostReader, now: datetime) -> Certificate | None:
        found = self.obtained(host, now)
        if found is None:
            data = host.read(self.paths.state_dir / ACME_JSON)
            found = certificate_from(data, self.request.names, now) if data else None
        return found

    def obtained(self, host: HostReader, now: datetime) -> Certificate | None:
        """The one that this request was answered with; nobody else's."""
        return held(host, self.paths, self.request.key, now)

    def obtain(self, host: Host, progress: Progress, timeout_s: float | None = None) -> Certificate:
        attempts = read_ledger(host, self.paths).of(self.request)
        instance = (host.read(self.paths.state_dir / "instance") or b"").decode().strip()
        for note in look_ahead(host, self.request, attempts, instance, utc_now()):
            progress.note(note)
        certbot = Certbot(self.hub / "bin" / "certbot", self.paths)
        try:
            certificate = certbot.obtain(
                host, self.request, self._listener(host), timeout_s or self.request.deadline_s
            )
        except TljhError as error:
            first = error.findings[0].as_json()
            failed = attempts.after_failure(utc_now(), first)
            write_ledger(host, self.paths, self.request, failed)
            raise
        now = utc_now()
        keep(host, self.paths, self.request.key, certificate, now)
        write_ledger(host, self.paths, self.request, attempts.after_success(now))
        return certificate

    def _listener(self, host: HostReader) -> Listener:
        """Behind Traefik; at the public port itself while no Traefik runs, as in an install."""
        if host.unit("traefik.service").is_active:
            return Listener("127.0.0.1", CHALLENGE_PORT)
        return self.http

    def renewal(self, about: Details) -> datetime | None:
        return renewal_time(about.not_before, about.not_after)

    def next_try(self, host: HostReader, about: Details | None, now: datetime) -> datetime | None:
        from datetime import timedelta

        from tljh.proxy.certificates.acme import next_try

        failed = read_ledger(host, self.paths).of(self.request).failed
        left = about.not_after - now if about else timedelta(hours=10)
        return next_try(failed, left)

    def last_error(self, host: HostReader) -> dict[str, object] | None:
        attempts = read_ledger(host, self.paths).of(self.request)
        if not attempts.failed or attempts.error is None:
            return None
        return {**attempts.error, "at": attempts.failed[-1].isoformat(timespec="seconds")}


def acme_source(config: Config, paths: Paths, hub_environment: Path) -> AcmeSource:
    return AcmeSource(
        acme_request(config),
        paths,
        hub_environment,
        Listener(config.http.address, config.http.port),
    )


def source_of(config: Config, paths: Paths, hub_environment: Path) -> Source | None:
    """Where the hub's certificate comes from; None while HTTPS is off."""
    mode = config.https.effective_mode
    if mode == "letsencrypt":
        return acme_source(config, paths, hub_environment)
    return None
