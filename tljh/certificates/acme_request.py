"""The request to an ACME server, as the configuration describes it, and the times to repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tljh.base.paths import Paths

if TYPE_CHECKING:
    from tljh.settings.root import Config

PRODUCTION = "https://acme-v02.api.letsencrypt.org/directory"


STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


# Where certbot answers the CA's challenges, behind Traefik. A program that listens here can get a
# certificate for this machine's names. So the port is below 1024, where only root can listen.
CHALLENGE_PORT = 402


# certbot waits 90 s for the validation, 90 s for the certificate, and 45 s for any one answer.
DEADLINE_S = 270.0


# Let's Encrypt's rate limits; other CAs have similar ones. Beyond them, it refuses for hours.
FAILURES_AN_HOUR = 5


SAME_NAMES_A_WEEK = 5


@dataclass(frozen=True)
class AcmeRequest:
    """A certificate to request: its names, the CA, and the account and challenge to use."""

    names: tuple[str, ...]
    server: str = PRODUCTION
    email: str = ""
    key_type: str = "ecdsa"
    profile: str | None = None
    ca_bundle: str | None = None
    eab: str | None = None
    dns_provider: str | None = None
    dns_credentials: str | None = None
    dns_propagation_s: int = 60

    @property
    def key(self) -> str:
        """Return a digest of all that makes a certificate a different one.

        A certificate is stored under the key of its request. So it is found again when the same
        request returns: after HTTPS was off, after a rollback, after a test with the staging CA.
        """
        parts = [self.server, self.key_type, self.profile or "", *sorted(self.names)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def authority(self) -> str:
        """Return the CA's name for messages."""
        names = {PRODUCTION: "Let's Encrypt", STAGING: "Let's Encrypt (staging)"}
        return names.get(self.server) or urlsplit(self.server).netloc

    @property
    def challenge(self) -> str:
        return "dns-01" if self.dns_provider else "http-01"

    @property
    def deadline_s(self) -> float:
        """Return how long certbot may take for this request."""
        return DEADLINE_S + (self.dns_propagation_s if self.dns_provider else 0)


def build_acme_request(config: Config) -> AcmeRequest:
    """Return the request that `https.letsencrypt` describes."""
    acme = config.https.letsencrypt
    return AcmeRequest(
        names=tuple(dict.fromkeys(acme.domains)),
        server=acme.server or (STAGING if acme.staging else PRODUCTION),
        email=acme.email,
        key_type=acme.key_type,
        profile=acme.profile,
        ca_bundle=acme.ca_bundle,
        eab=acme.eab,
        dns_provider=acme.dns.provider,
        dns_credentials=acme.dns.credentials,
        dns_propagation_s=acme.dns.propagation_s,
    )


def get_certificate_path(paths: Paths, key: str) -> Path:
    """Return the file of a request's certificate. It has key and chain, so both always match."""
    return paths.acme_certificates / f"{key}.pem"


def compute_renewal_time(not_before: datetime, not_after: datetime) -> datetime:
    """Return when to renew a certificate: when a third of its lifetime is left."""
    return not_after - (not_after - not_before) / 3


def compute_retry_time(failed: Sequence[datetime], remaining: timedelta) -> datetime | None:
    """Return when to retry after failures in a row, the last one last; None for at once.

    The backoff doubles from 30 minutes to 12 hours. It is at most a tenth of the `remaining` life
    of the current certificate, so that a short-lived one is renewed in time.
    """
    if not failed:
        return None
    longest = max(min(timedelta(hours=12), remaining / 10), timedelta(minutes=1))
    doublings = min(len(failed) - 1, 8)
    backoff = min(timedelta(minutes=30) * (1 << doublings), longest)
    return failed[-1] + backoff
