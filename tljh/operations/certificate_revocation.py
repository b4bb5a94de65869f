"""Revoke a certificate, and remember one until its revocation succeeded.

The authority accepts a revocation that is signed with the certificate's key, but a new certificate
replaces the stored pair. So the pair is written to a file that only root can read first
(state/acme/to-revoke.json), and an interrupted revocation is resumed from there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from dataclasses import replace as replace_fields

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.certificates.acme_request import AcmeRequest
from tljh.certificates.acme_store import (
    format_one_file,
    is_valid,
    read_one_file,
    read_pair,
    remove_pair,
)
from tljh.certificates.certbot import Certbot
from tljh.certificates.x509 import CertificateDetails, TlsPair, read_details
from tljh.host.interface import Host, HostReader
from tljh.operations.certificate_renewal import LOCK_TIMEOUT_S, read_applied, renew
from tljh.proxy.served_certificate import read_configured_chain

UNSPECIFIED = "unspecified"


@dataclass(frozen=True)
class Revocation:
    """A certificate to revoke, its authority, and the key of the request that obtained it."""

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
class RevokedCertificate:
    """A revoked certificate; `is_served` if Traefik still serves it."""

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
) -> RevokedCertificate:
    """Revoke the served certificate; with `replace`, serve a new one first.

    If an earlier revocation is pending, only that one is finished: the certificate that is served
    by now is not the one that the admin meant.
    """
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        pending = _register(host, paths, reason)
    source = read_applied(host, paths).source
    if replace and source is not None:
        # An earlier run may have obtained the new certificate, and not got as far as serving it.
        pair = source.obtained_pair(host, get_utc_time())
        is_new = pair is not None and pair.chain != pending.certificate.chain
        renew(host, paths, progress, at_once=not is_new, timeout_s=timeout_s)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        environment = read_applied(host, paths).facts.hub_environment
        Certbot(environment / "bin" / "certbot", paths).revoke(
            host,
            pending.request,
            pending.certificate,
            pending.reason,
            timeout_s or pending.request.deadline_s,
        )
        stored = read_pair(host, paths, pending.key)
        if stored and stored.chain == pending.certificate.chain:
            remove_pair(host, paths, pending.key)
        # Last: until then a killed run is continued by the next one, with the same certificate.
        host.remove(paths.acme_revocation)
    return RevokedCertificate(
        pending.about, read_configured_chain(host, paths) == pending.certificate.chain
    )


def read_pending_revocation(host: HostReader, paths: Paths) -> Revocation | None:
    """Return the revocation that has begun and not finished; None if there is none.

    It also counts as finished once its certificate has expired.
    """
    data = json.loads(host.read(paths.acme_revocation) or b"{}")
    if not data:
        return None
    certificate = read_one_file(data["pair"].encode())
    if not is_valid(certificate, get_utc_time()):
        return None
    return Revocation(
        certificate, data["server"], data["ca_bundle"], data["reason"], data["request"]
    )


def _register(host: Host, paths: Paths, reason: str) -> Revocation:
    """Record a revocation in its file before it begins; return it.

    A pending one is returned instead; a `reason` replaces its reason.
    """
    pending = read_pending_revocation(host, paths)
    if pending is None:
        revocation = _revoke_served(host, paths, reason)
    elif reason in (UNSPECIFIED, pending.reason):
        return pending
    else:
        revocation = replace_fields(pending, reason=reason)
    data = {
        "server": revocation.server,
        "ca_bundle": revocation.ca_bundle,
        "reason": revocation.reason,
        "request": revocation.key,
        "pair": format_one_file(revocation.certificate).decode(),
    }
    host.write(paths.acme_revocation, json.dumps(data, indent=2).encode() + b"\n", mode=0o600)
    return revocation


def _revoke_served(host: HostReader, paths: Paths, reason: str) -> Revocation:
    source = read_applied(host, paths).source
    if source is None:
        raise TljhError(
            "no certificate comes from Let's Encrypt here",
            why="https.mode, as it was applied, is another one, or HTTPS is off",
            fix="see what is served: sudo tljh cert status",
        )
    pair = source.obtained_pair(host, get_utc_time())
    if pair is None:
        raise TljhError(
            f"there is no certificate of {source.authority} to revoke",
            fix="see what is served: sudo tljh cert status",
        )
    request = source.request
    return Revocation(pair, request.server, request.ca_bundle, reason, request.key)
