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
from tljh.certificates.acme_request import AcmeRequest, get_certificate_path
from tljh.certificates.x509 import TlsPair, UnreadableCertificate, read_details
from tljh.host.interface import Host, HostReader

# More than the backoff counts (tljh/certificates/acme_request.py).
KEPT_FAILURES = 20


_BEGIN = b"-----BEGIN CERTIFICATE-----"


def format_one_file(certificate: TlsPair) -> bytes:
    """Join private key and certificate chain into the one PEM file that the store keeps."""
    return certificate.key.rstrip() + b"\n" + certificate.chain.rstrip() + b"\n"


def read_one_file(data: bytes) -> TlsPair:
    """Split the content of a stored file into certificate chain and private key."""
    start = data.index(_BEGIN)
    return TlsPair(chain=data[start:], key=data[:start])


def read_pair(host: HostReader, paths: Paths, key: str) -> TlsPair | None:
    """Read the certificate that was obtained for a request, also an expired one."""
    data = host.read(get_certificate_path(paths, key))
    return read_one_file(data) if data and _BEGIN in data else None


def read_valid_pair(
    host: HostReader, paths: Paths, key: str, current_time: datetime
) -> TlsPair | None:
    """Read the certificate that was obtained for a request, unless it has expired."""
    certificate = read_pair(host, paths, key)
    return certificate if certificate and is_valid(certificate, current_time) else None


def is_valid(certificate: TlsPair, current_time: datetime) -> bool:
    try:
        return read_details(certificate.chain).is_valid(current_time)
    except UnreadableCertificate:
        return False


def make_directories(host: Host, paths: Paths) -> None:
    for path in (paths.acme_dir, paths.acme_certificates):
        if host.info(path) is None:
            host.mkdir(path, mode=0o700)


def write_pair(
    host: Host, paths: Paths, key: str, certificate: TlsPair, current_time: datetime
) -> None:
    """Store a certificate that was obtained, and delete stored ones that have expired."""
    make_directories(host, paths)
    path = get_certificate_path(paths, key)
    host.write(path, format_one_file(certificate), mode=0o600)
    for name in host.listdir(path.parent):
        other = path.parent / name
        if other == path or not name.endswith(".pem"):
            continue
        if read_valid_pair(host, paths, other.stem, current_time) is None:
            host.remove(other)


def remove_pair(host: Host, paths: Paths, key: str) -> None:
    host.remove(get_certificate_path(paths, key))


@dataclass(frozen=True)
class RequestAttempts:
    """Attempts for one request: failures since the last success, and the last week's successes.

    `failed` has only the attempts in which the CA was asked. `error` is the finding of the last
    failure of any kind, with its time (`at`).
    """

    failed: tuple[datetime, ...] = ()
    issued: tuple[datetime, ...] = ()
    error: dict[str, Any] | None = None

    def after_success(self, current_time: datetime) -> RequestAttempts:
        week = [time for time in self.issued if current_time - time < timedelta(days=7)]
        return RequestAttempts(issued=(*week, current_time))

    def after_failure(
        self, current_time: datetime, error: dict[str, Any], *, was_asked: bool
    ) -> RequestAttempts:
        failed = (*self.failed, current_time)[-KEPT_FAILURES:] if was_asked else self.failed
        return replace(
            self, failed=failed, error={**error, "at": current_time.isoformat("T", "seconds")}
        )

    def as_of(self, current_time: datetime) -> RequestAttempts:
        """Return the attempts without those of the future: the clock was wrong then."""
        return replace(
            self,
            failed=tuple(time for time in self.failed if time <= current_time),
            issued=tuple(time for time in self.issued if time <= current_time),
        )


def count_recent(times: Sequence[datetime], current_time: datetime, span: timedelta) -> int:
    """Return how many of the times are at most `span` before `current_time`."""
    return sum(current_time - time < span for time in times)


@dataclass(frozen=True)
class AttemptLedger:
    """The attempts of all requests, by the request's key: state/acme/attempts.json."""

    entries: dict[str, RequestAttempts] = field(default_factory=dict)

    def of(self, request: AcmeRequest) -> RequestAttempts:
        return self.entries.get(request.key, RequestAttempts())


def read_ledger(host: HostReader, paths: Paths) -> AttemptLedger:
    """Read the record of all requests for certificates; an unreadable file counts as empty."""
    data = host.read(paths.acme_attempts)
    try:
        entries = json.loads(data or b"{}")
        return AttemptLedger({key: _parse_attempts(entry) for key, entry in entries.items()})
    except (ValueError, TypeError, AttributeError, KeyError):
        # Without the record of attempts only the backoff is lost, so no command fails for it.
        return AttemptLedger()


def write_ledger(host: Host, paths: Paths, request: AcmeRequest, attempts: RequestAttempts) -> None:
    """Record the attempts of one request for a certificate; those of others stay."""
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


def _parse_attempts(entry: dict[str, Any]) -> RequestAttempts:
    return RequestAttempts(
        failed=tuple(datetime.fromisoformat(text) for text in entry["failed"]),
        issued=tuple(datetime.fromisoformat(text) for text in entry["issued"]),
        error=entry.get("error"),
    )
