"""Certificates and attempts by request: files in state/acme, which only root may read.

A certificate is stored until it expires, also while the configuration does not use it: a CA issues
only a few for the same names each week.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tljh.base.paths import Paths
from tljh.certificates.acme_request import AcmeRequest, certificate_path
from tljh.certificates.x509 import TlsPair, Unreadable, read_details
from tljh.host.interface import Host, HostReader

# More than the backoff counts (tljh/certificates/acme_request.py).
KEPT_FAILURES = 20


_BEGIN = b"-----BEGIN CERTIFICATE-----"


def to_one_file(certificate: TlsPair) -> bytes:
    """Join key and chain into one text."""
    return certificate.key.rstrip() + b"\n" + certificate.chain.rstrip() + b"\n"


def from_one_file(data: bytes) -> TlsPair:
    """Split a text of `to_one_file`."""
    start = data.index(_BEGIN)
    return TlsPair(chain=data[start:], key=data[:start])


def read_pair(host: HostReader, paths: Paths, key: str) -> TlsPair | None:
    """Read the certificate that was obtained for a request, also an expired one."""
    data = host.read(certificate_path(paths, key))
    return from_one_file(data) if data and _BEGIN in data else None


def read_valid_pair(host: HostReader, paths: Paths, key: str, now: datetime) -> TlsPair | None:
    """Read the certificate that was obtained for a request, unless it has expired."""
    certificate = read_pair(host, paths, key)
    return certificate if certificate and is_valid(certificate, now) else None


def is_valid(certificate: TlsPair, now: datetime) -> bool:
    try:
        return read_details(certificate.chain).is_valid(now)
    except Unreadable:
        return False


def make_directories(host: Host, paths: Paths) -> None:
    for path in (paths.acme_dir, paths.acme_certificates):
        if host.info(path) is None:
            host.mkdir(path, mode=0o700)


def write_pair(host: Host, paths: Paths, key: str, certificate: TlsPair, now: datetime) -> None:
    """Store what was obtained, and drop what has expired meanwhile."""
    make_directories(host, paths)
    path = certificate_path(paths, key)
    host.write(path, to_one_file(certificate), mode=0o600)
    for name in host.listdir(path.parent):
        other = path.parent / name
        if other == path or not name.endswith(".pem"):
            continue
        if read_valid_pair(host, paths, other.stem, now) is None:
            host.remove(other)


def remove_pair(host: Host, paths: Paths, key: str) -> None:
    host.remove(certificate_path(paths, key))


@dataclass(frozen=True)
class Attempts:
    """Attempts for one request: failures since the last success, and the last week's successes.

    `failed` has only the attempts in which the CA was asked. `error` is the finding of the last
    failure of any kind, with its time (`at`).
    """

    failed: tuple[datetime, ...] = ()
    issued: tuple[datetime, ...] = ()
    error: dict[str, Any] | None = None

    def after_success(self, now: datetime) -> Attempts:
        week = [time for time in self.issued if now - time < timedelta(days=7)]
        return Attempts(issued=(*week, now))

    def after_failure(self, now: datetime, error: dict[str, Any], *, was_asked: bool) -> Attempts:
        failed = (*self.failed, now)[-KEPT_FAILURES:] if was_asked else self.failed
        return replace(self, failed=failed, error={**error, "at": now.isoformat("T", "seconds")})

    def as_of(self, now: datetime) -> Attempts:
        """Leave out attempts from the future, which were recorded while the clock was wrong."""
        return replace(
            self,
            failed=tuple(time for time in self.failed if time <= now),
            issued=tuple(time for time in self.issued if time <= now),
        )


def count_recent(times: Sequence[datetime], now: datetime, span: timedelta) -> int:
    """Count the times that are at most `span` ago."""
    return sum(now - time < span for time in times)


@dataclass(frozen=True)
class Ledger:
    """The attempts of all requests, by the request's key: state/acme/attempts.json."""

    entries: dict[str, Attempts] = field(default_factory=dict)

    def of(self, request: AcmeRequest) -> Attempts:
        return self.entries.get(request.key, Attempts())


def read_ledger(host: HostReader, paths: Paths) -> Ledger:
    """Read the attempts; a file that cannot be read counts as empty."""
    data = host.read(paths.acme_attempts)
    try:
        entries = json.loads(data or b"{}")
        return Ledger({key: _attempts(entry) for key, entry in entries.items()})
    except (ValueError, TypeError, AttributeError, KeyError):
        # Without the record of attempts only the backoff is lost, so no command fails for it.
        return Ledger()


def write_ledger(host: Host, paths: Paths, request: AcmeRequest, attempts: Attempts) -> None:
    """Record the attempts of one request; those of other requests stay."""
    make_directories(host, paths)
    entries = {**read_ledger(host, paths).entries, request.key: attempts}
    content = {
        key: {
            "failed": [time.isoformat() for time in entry.failed],
            "issued": [time.isoformat() for time in entry.issued],
            "error": entry.error,
        }
        for key, entry in entries.items()
    }
    text = json.dumps(content, indent=2) + "\n"
    host.write(paths.acme_attempts, text.encode(), mode=0o600)


def _attempts(entry: dict[str, Any]) -> Attempts:
    return Attempts(
        failed=tuple(datetime.fromisoformat(text) for text in entry["failed"]),
        issued=tuple(datetime.fromisoformat(text) for text in entry["issued"]),
        error=entry.get("error"),
    )
