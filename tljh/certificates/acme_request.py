"""What is asked of an ACME authority: pure values that follow from the configuration."""

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


# Whoever can listen here can get a certificate for this machine's names: below 1024, where
# only root can. Traefik passes challenges on to it; nothing listens but while certbot asks.
CHALLENGE_PORT = 402


# certbot waits 90 s for the validation and 90 s for the certificate, and 45 s for one answer.
DEADLINE_S = 270.0


# Let's Encrypt's limits, which others share in kind: what reaches them is refused for hours.
FAILURES_AN_HOUR = 5


SAME_NAMES_A_WEEK = 5


@dataclass(frozen=True)
class AcmeRequest:
    """A certificate as an authority is asked for it."""

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
        """Differs with everything that makes a certificate another one.

        So what was asked for before is found again when it is asked for once more: after
        HTTPS was off, after a rollback, after a look at the staging authority.
        """
        parts = [self.server, self.key_type, self.profile or "", *sorted(self.names)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    @property
    def authority(self) -> str:
        """Whom people know it as."""
        known = {PRODUCTION: "Let's Encrypt", STAGING: "Let's Encrypt (staging)"}
        return known.get(self.server) or urlsplit(self.server).netloc

    @property
    def challenge(self) -> str:
        return "dns-01" if self.dns_provider else "http-01"

    @property
    def deadline_s(self) -> float:
        return DEADLINE_S + (self.dns_propagation_s if self.dns_provider else 0)


def acme_request(config: Config) -> AcmeRequest:
    """What `https.letsencrypt` asks for."""
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


def acme_dir(paths: Paths) -> Path:
    return paths.state_dir / "acme"


def certificate_path(paths: Paths, key: str) -> Path:
    """Key and chain in one file, so that neither is ever without the other."""
    return acme_dir(paths) / "certificates" / f"{key}.pem"


def renewal_time(not_before: datetime, not_after: datetime) -> datetime:
    """Return when a third of the lifetime is left."""
    return not_after - (not_after - not_before) / 3


def retry_time(failed: Sequence[datetime], left: timedelta) -> datetime | None:
    """When to ask again after failures in a row; None for at once.

    Twice as long each time, but often enough that a short life is not slept through.
    """
    if not failed:
        return None
    longest = max(min(timedelta(hours=12), left / 10), timedelta(minutes=1))
    doubled = 1 << min(len(failed) - 1, 8)
    pause = min(timedelta(minutes=30) * doubled, longest)
    return failed[-1] + pause
