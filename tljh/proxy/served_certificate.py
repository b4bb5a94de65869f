"""The certificate that Traefik serves: exchanging it while it runs, and looking at the port.

An exchange is a change of Traefik's dynamic files alone: the new pair under names of its own,
then the file that names it, which Traefik notices. No connection is touched by it.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.certificates.machine_names import is_address
from tljh.certificates.x509 import TlsPair, certificates_of, details
from tljh.host.interface import Host, HostReader
from tljh.proxy.traefik_dynamic import (
    TLS_FILE,
    DynamicInputs,
    ProxyFile,
    certificate_files,
    tls_file,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config

GROUP = "traefik"


# Traefik takes up a changed file within a fraction of a second, on a busy machine a few.
DEADLINE_S = 20.0


POLL_S = 0.1


@dataclass(frozen=True)
class HttpsEndpoint:
    """Where HTTPS is answered, and by which name a browser would ask."""

    address: str
    port: int
    name: str | None


def https_endpoint(config: Config) -> HttpsEndpoint:
    https = config.https
    names = [name for name in https.names if not name.startswith("*.") and not is_address(name)]
    address = https.address or "127.0.0.1"
    return HttpsEndpoint(address, https.port, names[0] if names else None)


def swap_certificate(host: Host, inputs: DynamicInputs, certificate: TlsPair) -> None:
    """Have Traefik serve this certificate; what it served before stays beside it.

    Killed half-way, either the old or the new one is served.
    """
    inputs = replace(inputs, certificates=(certificate,))
    for file in (*certificate_files(inputs), tls_file(inputs)):
        if host.read(file.path) != file.content:
            _write(host, file)


def _write(host: Host, file: ProxyFile) -> None:
    host.write(file.path, file.content, mode=file.mode, group=GROUP)


def remove_unused_pairs(host: Host, paths: Paths) -> None:
    """Remove pairs that Traefik is not told to serve any more."""
    directory = paths.traefik_dir / "certs"
    kept = {path.name for path in _named_files(host, paths) or ()}
    for name in host.listdir(directory) if kept else ():
        if name not in kept:
            host.remove(directory / name)


def configured_pair(host: HostReader, paths: Paths) -> TlsPair | None:
    """What Traefik is told to serve; None while it is told of none, or of files that are gone."""
    files = _named_files(host, paths)
    chain, key = (host.read(path) for path in files) if files else (None, None)
    return None if chain is None or key is None else TlsPair(chain, key)


def configured_chain(host: HostReader, paths: Paths) -> bytes | None:
    """The chain of that pair."""
    pair = configured_pair(host, paths)
    return pair.chain if pair else None


def _named_files(host: HostReader, paths: Paths) -> tuple[Path, Path] | None:
    from ruamel.yaml import YAML

    data = host.read(paths.traefik_dir / "dynamic" / TLS_FILE)
    if data is None:
        return None
    tree = YAML(typ="safe", pure=True).load(data.decode()) or {}
    pair = tree.get("tls", {}).get("stores", {}).get("default", {}).get("defaultCertificate")
    return (Path(pair["certFile"]), Path(pair["keyFile"])) if pair else None


def leaf_as_der(chain: bytes) -> bytes:
    """The first certificate of a PEM file as it goes over the wire."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificates_of(chain)[0].public_bytes(Encoding.DER)


def served_problem(host: HostReader, at: HttpsEndpoint, chain: bytes) -> str | None:
    """Why the port does not serve this certificate; None when it does."""
    found = host.peer_certificate(at.address, at.port, at.name)
    if found is None:
        return f"nothing speaks TLS at {at.address} port {at.port}"
    if found == leaf_as_der(chain):
        return None
    served = details(ssl.DER_cert_to_PEM_cert(found).encode())
    return f"the port serves one of {served.issuer}, valid until {served.not_after:%Y-%m-%d %H:%M}"


def wait_until_served(
    host: HostReader, at: HttpsEndpoint, chain: bytes, deadline_s: float = DEADLINE_S
) -> None:
    """Return once the port serves this certificate. Raises TljhError past the deadline."""
    end_s = host.monotonic_s() + deadline_s
    while (problem := served_problem(host, at, chain)) is not None:
        if host.monotonic_s() >= end_s:
            raise TljhError(
                [
                    Finding(
                        f"the proxy does not serve the certificate it was given within "
                        f"{deadline_s:g} s",
                        why=f"{problem}\nlast lines of traefik.service:\n"
                        f"{host.journal('traefik.service')}",
                        fix="look at the lines above; all of them: sudo journalctl -u traefik -e",
                    )
                ]
            )
        host.pause(POLL_S)
