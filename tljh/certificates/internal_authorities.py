"""Certificates of JupyterHub's `internal_ssl`: between hub, proxy, users' servers and services.

JupyterHub makes its authorities, and the certificates of hub and proxy, at its first start: a
directory for each, valid for five years. Servers and services get theirs here, at each start.
Programs that run for long trust the authorities that they have read at their start. So an authority
is renewed with the key that it has: what it signs is trusted through the old certificate, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.well_known import get_certificate_variables
from tljh.certificates.local_authority import (
    BACKDATED,
    encode_certificate,
    encode_key,
    make_general_name,
    make_key_usage,
    make_title,
)
from tljh.certificates.x509 import (
    TlsPair,
    UnreadableCertificate,
    get_certificate_names,
    parse_chain,
)
from tljh.host.interface import Host

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

HUB_AUTHORITY = "hub-ca"
SERVERS_AUTHORITY = "notebooks-ca"
SERVICES_AUTHORITY = "services-ca"
AUTHORITIES = (
    HUB_AUTHORITY,
    "proxy-api-ca",
    "proxy-client-ca",
    SERVERS_AUTHORITY,
    SERVICES_AUTHORITY,
)
HUB = "hub-internal"
PROXY_CLIENT = "proxy-client"
PAIRS = (HUB, "proxy-api", PROXY_CLIENT)
LOOPBACK_NAMES = ("localhost", "127.0.0.1")

LIFE = timedelta(days=5 * 365)
# A server or service that runs for longer without a restart than this loses the hub.
RENEWED_BEFORE_END = timedelta(days=400)


def name_server(owner: str, server: str) -> str:
    """Return the host name in the certificate of one server, which no other server has.

    By it, the proxy notices that another user's program listens at a server's port.
    """
    digest = hashlib.sha256(f"{owner}\0{server}".encode()).hexdigest()[:32]
    return f"{digest}.server.internal"


def read_pair(store: Path, name: str) -> TlsPair:
    """Return a certificate of the store with its key; raises OSError if there is none."""
    directory = store / name
    return TlsPair(
        (directory / f"{name}.crt").read_bytes(), (directory / f"{name}.key").read_bytes()
    )


def issue_pair(authority: TlsPair, title: str, names: Sequence[str]) -> TlsPair:
    """Return a new key, with a certificate for both ends of a connection."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer, issuer_key = _load(authority)
    key = ec.generate_private_key(ec.SECP256R1())
    current_time = get_utc_time()
    builder = (
        x509.CertificateBuilder()
        .subject_name(make_title(title))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(current_time - BACKDATED)
        .not_valid_after(current_time + LIFE)
        .add_extension(
            x509.SubjectAlternativeName([make_general_name(name) for name in names]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(make_key_usage(is_authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    return TlsPair(encode_certificate(builder.sign(issuer_key, hashes.SHA256())), encode_key(key))


def write_pair(
    host: Host, directory: Path, pair: TlsPair, authority: bytes, owner: tuple[str, str]
) -> dict[str, str]:
    """Write a pair into a directory, and return JupyterHub's variables that name its files.

    `owner` are user and group of the only account that may read the key.
    """
    variables = get_certificate_variables(directory)
    contents = (pair.key, pair.chain, authority)
    for path, content in zip(map(Path, variables.values()), contents, strict=True):
        host.write(path, content, mode=0o400, owner=owner[0], group=owner[1])
    return variables


def renew_store(host: Host, store: Path, names: Iterable[str], current_time: datetime) -> list[str]:
    """Renew what ends soon, and remove what JupyterHub has to make again; return their names.

    `names` are those that the certificate of the hub needs. Where anything cannot be read, the
    whole store is removed: all authorities are new then, and servers have to start again.
    """
    if not store.exists():
        return []
    try:
        return _renew_readable(host, store, set(names), current_time)
    except (OSError, ValueError, TypeError, UnreadableCertificate):
        host.remove(store)
        return [*AUTHORITIES, *PAIRS]


def list_due(store: Path, current_time: datetime) -> list[str]:
    """Return the names of the certificates in a store that end soon."""
    return [
        name
        for name in (*AUTHORITIES, *PAIRS)
        if _is_due(parse_chain((store / name / f"{name}.crt").read_bytes())[0], current_time)
    ]


def _renew_readable(host: Host, store: Path, names: set[str], current_time: datetime) -> list[str]:
    from certipy import Certipy

    due = list_due(store, current_time)
    records = Certipy(store_dir=str(store)).store
    for name in AUTHORITIES:
        authority = read_pair(store, name)
        _load(authority)
        records.get_record(name)
        if name in due:
            renewed = _renew_authority(authority, current_time)
            host.write(store / name / f"{name}.crt", renewed, mode=0o644)
    for name in PAIRS:
        leaf, _ = _load(read_pair(store, name))
        if name == HUB and not names <= set(get_certificate_names(leaf)):
            due.append(name)
        if name in due:
            records.remove_files(name, delete_dir=True)
    return due


def _is_due(certificate: x509.Certificate, current_time: datetime) -> bool:
    return certificate.not_valid_after_utc - RENEWED_BEFORE_END <= current_time


def _load(pair: TlsPair) -> tuple[x509.Certificate, RSAPrivateKey]:
    """Return certificate and key of a pair that JupyterHub made."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    certificate, key = parse_chain(pair.chain)[0], load_pem_private_key(pair.key, password=None)
    if not isinstance(key, RSAPrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key of a certificate is not its own")
    return certificate, key


def _renew_authority(authority: TlsPair, current_time: datetime) -> bytes:
    """Return a new certificate of an authority, for the same key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    certificate, key = _load(authority)
    builder = (
        x509.CertificateBuilder()
        .subject_name(certificate.subject)
        .issuer_name(certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(current_time - BACKDATED)
        .not_valid_after(current_time + LIFE)
    )
    for extension in certificate.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    return encode_certificate(builder.sign(key, hashes.SHA256()))
