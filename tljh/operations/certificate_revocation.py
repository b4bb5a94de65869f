"""Having a certificate revoked, and not losing sight of one until it is.

What shall be revoked is written down first (state/acme/to-revoke.json, root's only), with its
key: serving a new one replaces the stored pair, and only who has the key can prove a revocation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tljh.base.clock import utc_now
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.certificates.acme_request import AcmeRequest, acme_dir
from tljh.certificates.acme_store import (
    from_one_file,
    is_valid,
    read_pair,
    remove_pair,
    to_one_file,
)
from tljh.certificates.certbot import Certbot
from tljh.certificates.x509 import CertificateDetails, TlsPair, read_details
from tljh.host.interface import Host, HostReader
from tljh.operations.certificate_renewal import LOCK_TIMEOUT_S, applied, renew
from tljh.proxy.served_certificate import configured_chain

UNSPECIFIED = "unspecified"


@dataclass(frozen=True)
class Revocation:
    """A certificate that shall be revoked, whom to ask, and the key of the request it answered."""

    certificate: TlsPair
    server: str
    ca_bundle: str | None
    reason: str
    key: str

    @property
    def about(self) -> CertificateDetails:
        return read_details(self.certificate.chain)

    @property
    def request(self) -> AcmeRequest:
        return AcmeRequest(self.about.names, server=self.server, ca_bundle=self.ca_bundle)


@dataclass(frozen=True)
class Revoked:
    """What became of it; `is_served` for one that people still meet."""

    about: CertificateDetails
    is_served: bool


def revoke(
    host: Host,
    paths: Paths,
    progress: Progress,
    reason: str,
    *,
    replace: bool,
    timeout_s: float | None = None,
) -> Revoked:
    """Have the served certificate revoked, after a new one is if `replace`.

    One that an earlier run began with comes first, and is all that is done then: the one that
    is served since is not the one that was meant.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        wanted = _undertaken(host, paths, reason)
    source = applied(host, paths).source
    if replace and source is not None:
        # An earlier run may have got the new one, and not come to serve it.
        found = source.obtained_pair(host, utc_now())
        is_new = found is not None and found.chain != wanted.certificate.chain
        renew(host, paths, progress, at_once=not is_new, timeout_s=timeout_s)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        certbot = Certbot(applied(host, paths).facts.hub_environment / "bin" / "certbot", paths)
        certbot.revoke(
            host,
            wanted.request,
            wanted.certificate,
            wanted.reason,
            timeout_s or wanted.request.deadline_s,
        )
        kept = read_pair(host, paths, wanted.key)
        if kept and kept.chain == wanted.certificate.chain:
            remove_pair(host, paths, wanted.key)
        host.remove(_file(paths))
    return Revoked(wanted.about, configured_chain(host, paths) == wanted.certificate.chain)


def unfinished(host: HostReader, paths: Paths) -> Revocation | None:
    """What was to be revoked and is not; one that has expired meanwhile is no matter any more."""
    told = json.loads(host.read(_file(paths)) or b"{}")
    if not told:
        return None
    certificate = from_one_file(told["pair"].encode())
    if not is_valid(certificate, utc_now()):
        return None
    return Revocation(
        certificate, told["server"], told["ca_bundle"], told["reason"], told["request"]
    )


def _undertaken(host: Host, paths: Paths, reason: str) -> Revocation:
    """The one to revoke, written down."""
    wanted = unfinished(host, paths)
    if wanted is not None and reason in (UNSPECIFIED, wanted.reason):
        return wanted
    if wanted is None:
        wanted = _served(host, paths, reason)
    told = {
        "server": wanted.server,
        "ca_bundle": wanted.ca_bundle,
        "reason": reason,
        "request": wanted.key,
        "pair": to_one_file(wanted.certificate).decode(),
    }
    host.write(_file(paths), json.dumps(told, indent=2).encode() + b"\n", mode=0o600)
    found = unfinished(host, paths)
    assert found is not None
    return found


def _served(host: HostReader, paths: Paths, reason: str) -> Revocation:
    source = applied(host, paths).source
    if source is None:
        raise TljhError(
            "no certificate comes from Let's Encrypt here",
            why="https.mode, as it was applied, is another one, or HTTPS is off",
            fix="see what is served: sudo tljh cert status",
        )
    old = source.obtained_pair(host, utc_now())
    if old is None:
        raise TljhError(
            f"there is no certificate of {source.authority} to revoke",
            fix="see what is served: sudo tljh cert status",
        )
    request = source.request
    return Revocation(old, request.server, request.ca_bundle, reason, request.key)


def _file(paths: Paths) -> Path:
    return acme_dir(paths) / "to-revoke.json"
