"""What was obtained and what was tried: files below state/acme, root's only.

A certificate is kept for as long as it is valid, whatever the configuration says meanwhile:
authorities give out few of them a week.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from tljh.base.paths import Paths
from tljh.certificates.acme_request import AcmeRequest, acme_dir, certificate_path
from tljh.certificates.x509 import TlsPair, Unreadable, read_details
from tljh.host.interface import Host, HostReader

KEPT_FAILURES = 20


_BEGIN = b"-----BEGIN CERTIFICATE-----"


def to_one_file(certificate: TlsPair) -> bytes:
    return certificate.key.rstrip() + b"\n" + certificate.chain.rstrip() + b"\n"


def from_one_file(data: bytes) -> TlsPair:
    start = data.index(_BEGIN)
    return TlsPair(chain=data[start:], key=data[:start])


def read_pair(host: HostReader, paths: Paths, key: str) -> TlsPair | None:
    """The certificate of a request, if it was obtained, whether or not it is still valid."""
    data = host.read(certificate_path(paths, key))
    return from_one_file(data) if data and _BEGIN in data else None


def read_valid_pair(host: HostReader, paths: Paths, key: str, now: datetime) -> TlsPair | None:
    """The certificate of a request, if it was obtained and has not expired."""
    certificate = read_pair(host, paths, key)
    return certificate if certificate and is_valid(certificate, now) else None


def is_valid(certificate: TlsPair, now: datetime) -> bool:
    try:
        return read_details(certificate.chain).is_valid(now)
    except Unreadable:
        return False


def make_directories(host: Host, paths: Paths) -> None:
    for path in (paths.state_dir / "acme", acme_dir(paths) / "certificates"):
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
    """What was tried for one request: failures since the last success, and successes.

    `failed` are those that the authority was asked in; `error` is of the last one of all, and
    when that was (`at`).
    """

    failed: tuple[datetime, ...] = ()
    issued: tuple[datetime, ...] = ()
    error: dict[str, Any] | None = None

    def after_success(self, now: datetime) -> Attempts:
        week = [one for one in self.issued if now - one < timedelta(days=7)]
        return Attempts(issued=(*week, now))

    def after_failure(self, now: datetime, error: dict[str, Any], *, was_asked: bool) -> Attempts:
        failed = (*self.failed, now)[-KEPT_FAILURES:] if was_asked else self.failed
        return replace(self, failed=failed, error={**error, "at": now.isoformat("T", "seconds")})

    def as_of(self, now: datetime) -> Attempts:
        """Without what is yet to come: the clock was wrong then."""
        failed = tuple(one for one in self.failed if one <= now)
        return replace(self, failed=failed, issued=tuple(one for one in self.issued if one <= now))

    def recent(self, times: Sequence[datetime], now: datetime, span: timedelta) -> int:
        return sum(now - one < span for one in times)


@dataclass(frozen=True)
class Ledger:
    """All attempts by the key of the request; the file is state/acme/attempts.json."""

    entries: dict[str, Attempts] = field(default_factory=dict)

    def of(self, request: AcmeRequest) -> Attempts:
        return self.entries.get(request.key, Attempts())


def read_ledger(host: HostReader, paths: Paths) -> Ledger:
    data = host.read(acme_dir(paths) / "attempts.json")
    try:
        told = json.loads(data or b"{}")
        return Ledger({key: _attempts(one) for key, one in told.items()})
    except (ValueError, TypeError, AttributeError, KeyError):
        return Ledger()  # what was tried is worth less than a command that works


def write_ledger(host: Host, paths: Paths, request: AcmeRequest, attempts: Attempts) -> None:
    make_directories(host, paths)
    entries = {**read_ledger(host, paths).entries, request.key: attempts}
    told = {
        key: {
            "failed": [one.isoformat() for one in entry.failed],
            "issued": [one.isoformat() for one in entry.issued],
            "error": entry.error,
        }
        for key, entry in entries.items()
    }
    host.write(
        acme_dir(paths) / "attempts.json", json.dumps(told, indent=2).encode() + b"\n", mode=0o600
    )


def _attempts(told: dict[str, Any]) -> Attempts:
    return Attempts(
        failed=tuple(datetime.fromisoformat(one) for one in told["failed"]),
        issued=tuple(datetime.fromisoformat(one) for one in told["issued"]),
        error=told.get("error"),
    )
