"""The certificate that Traefik serves: swapping it while Traefik runs, and checking the port.

A swap changes Traefik's dynamic files only: first the new pair is written under new names, then
the file that names it. Traefik watches that file. Connections stay open.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.well_known import PROXY_UNIT, TRAEFIK_GROUP
from tljh.certificates.machine_names import is_address
from tljh.certificates.x509 import TlsPair, parse_chain, read_details
from tljh.host.interface import Host, HostReader
from tljh.proxy.traefik_dynamic import (
    DynamicInputs,
    ProxyFile,
    build_certificate_files,
    build_tls_file,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Traefik loads a changed file within a fraction of a second, on a busy machine within a few.
DEADLINE_S = 20.0


POLL_S = 0.1


@dataclass(frozen=True)
class HttpsEndpoint:
    """The address of HTTPS, and a host name to send with a TLS handshake (SNI)."""

    address: str
    port: int
    name: str | None


def get_https_endpoint(config: Config) -> HttpsEndpoint:
    """Return where this machine reaches its own HTTPS port, and the host name to ask for.

    That is the first configured name that a TLS client can send: no address, no wildcard.
    """
    https = config.https
    names = [name for name in https.names if not name.startswith("*.") and not is_address(name)]
    address = https.address or "127.0.0.1"
    return HttpsEndpoint(address, https.port, names[0] if names else None)


def swap_certificate(host: Host, inputs: DynamicInputs, certificate: TlsPair) -> None:
    """Make Traefik serve this certificate. The old pair stays until `remove_unused_pairs`.

    If this process is killed in between, Traefik serves either the old or the new certificate.
    """
    inputs = replace(inputs, certificates=(certificate,))
    # The file that names the pair comes last: Traefik reads it as soon as it is written.
    for file in (*build_certificate_files(inputs), build_tls_file(inputs)):
        if host.read(file.path) != file.content:
            _write(host, file)


def _write(host: Host, file: ProxyFile) -> None:
    host.write(file.path, file.content, mode=file.mode, group=TRAEFIK_GROUP)


def remove_unused_pairs(host: Host, paths: Paths) -> None:
    """Remove the certificate files in Traefik's directory that its configuration does not name.

    If it names none at all, nothing is removed.
    """
    used = {path.name for path in _find_configured_files(host, paths) or ()}
    for name in host.listdir(paths.traefik_certs) if used else ():
        if name not in used:
            host.remove(paths.traefik_certs / name)


def read_configured_pair(host: HostReader, paths: Paths) -> TlsPair | None:
    """Return the pair that Traefik's configuration names; None without one or without its files."""
    files = _find_configured_files(host, paths)
    chain, key = (host.read(path) for path in files) if files else (None, None)
    return None if chain is None or key is None else TlsPair(chain, key)


def read_configured_chain(host: HostReader, paths: Paths) -> bytes | None:
    """Return the chain of the pair that Traefik's configuration names."""
    pair = read_configured_pair(host, paths)
    return pair.chain if pair else None


def _find_configured_files(host: HostReader, paths: Paths) -> tuple[Path, Path] | None:
    from ruamel.yaml import YAML

    data = host.read(paths.traefik_tls_file)
    if data is None:
        return None
    tree = YAML(typ="safe", pure=True).load(data.decode()) or {}
    pair = tree.get("tls", {}).get("stores", {}).get("default", {}).get("defaultCertificate")
    return (Path(pair["certFile"]), Path(pair["keyFile"])) if pair else None


def convert_leaf_to_der(chain: bytes) -> bytes:
    """Return the first certificate of a PEM file in DER form, as TLS sends it."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return parse_chain(chain)[0].public_bytes(Encoding.DER)


def find_served_problem(host: HostReader, endpoint: HttpsEndpoint, chain: bytes) -> str | None:
    """Return why the endpoint does not serve this certificate; None if it does."""
    leaf = host.peer_certificate(endpoint.address, endpoint.port, endpoint.name)
    if leaf is None:
        return f"nothing speaks TLS at {endpoint.address} port {endpoint.port}"
    if leaf == convert_leaf_to_der(chain):
        return None
    served = read_details(ssl.DER_cert_to_PEM_cert(leaf).encode())
    return f"the port serves one of {served.issuer}, valid until {served.not_after:%Y-%m-%d %H:%M}"


def wait_until_served(
    host: HostReader, endpoint: HttpsEndpoint, chain: bytes, deadline_s: float = DEADLINE_S
) -> None:
    """Wait until the endpoint serves this certificate. Raises TljhError after the deadline."""
    end_s = host.monotonic_s() + deadline_s
    while (problem := find_served_problem(host, endpoint, chain)) is not None:
        if host.monotonic_s() >= end_s:
            raise TljhError(
                [
                    Finding(
                        f"the proxy does not serve the certificate within {deadline_s:g} s",
                        why=f"{problem}\nlast lines of {PROXY_UNIT}:\n{host.journal(PROXY_UNIT)}",
                        fix="look at the lines above; all of them: sudo journalctl -u traefik -e",
                    )
                ]
            )
        host.pause(POLL_S)
