"""Certificates and their keys in PEM form: what they contain, and which names they cover.

`cryptography` is imported where it is used: the import is slow, and most commands need none of it.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.x509 import Certificate, Name


@dataclass(frozen=True)
class TlsPair:
    """A certificate with its chain, and its key, both as PEM."""

    chain: bytes
    key: bytes

    @property
    def name(self) -> str:
        """Return a name that depends on the content: a renewed certificate gets new files."""
        return hashlib.sha256(self.chain + b"\0" + self.key).hexdigest()[:16]


# By how much this machine's clock may differ from that of a CA.
CLOCK_SKEW = timedelta(minutes=10)


# A certificate that is valid for less than this, or for less than a tenth of its life, is reported.
SHORT_S = 14 * 24 * 3600


@dataclass(frozen=True)
class CertificateDetails:
    """The readable fields of a certificate; times are in UTC."""

    names: tuple[str, ...]
    subject: str
    issuer: str
    not_before: datetime
    not_after: datetime
    serial: str
    fingerprint: str
    is_self_signed: bool

    @property
    def lifetime(self) -> timedelta:
        return self.not_after - self.not_before

    def is_valid(self, current_time: datetime) -> bool:
        return self.not_before - CLOCK_SKEW <= current_time < self.not_after

    def days_left(self, current_time: datetime) -> float:
        """Return the days until it expires, negative afterwards."""
        return (self.not_after - current_time).total_seconds() / 86400


class UnreadableCertificate(ValueError):
    """A text without a certificate, or with a broken one."""


def parse_chain(chain: bytes) -> list[Certificate]:
    """Parse the certificates of a PEM file, in order. Raises UnreadableCertificate for none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise UnreadableCertificate(str(error)) from error


def read_details(chain: bytes) -> CertificateDetails:
    """Read the first certificate of a chain. Raises UnreadableCertificate."""
    from cryptography.hazmat.primitives.hashes import SHA256

    leaf = parse_chain(chain)[0]
    return CertificateDetails(
        names=get_certificate_names(leaf),
        subject=leaf.subject.rfc4514_string(),
        issuer=format_name(leaf.issuer),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        serial=f"{leaf.serial_number:x}",
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        is_self_signed=leaf.issuer == leaf.subject,
    )


def get_certificate_names(leaf: Certificate) -> tuple[str, ...]:
    """Return the host names and addresses that a certificate is for."""
    from cryptography import x509

    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))


def covers(name: str, offered: Sequence[str]) -> bool:
    """Return whether a certificate for the names `offered` is valid for a name or address.

    The rules are those of browsers: a wildcard stands for one label.
    """
    host = name.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(host)) in offered
    except ValueError:
        pass
    _, dot, parent = host.partition(".")
    # A wildcard stands for one label, and not below a top-level domain.
    wildcards = {f"*.{parent}"} if dot and "." in parent else set()
    return any(entry.lower() in {host, *wildcards} for entry in offered)


def convert_to_pem(chain: bytes, key: bytes) -> tuple[bytes, bytes]:
    """Return a certificate chain and a key as plain PEM, which every program reads.

    Files may contain byte order marks, old line ends, indentation and remarks. OpenSSL skips them,
    Traefik refuses them. Raises ValueError or TypeError for what cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    certificates = b"".join(
        certificate.public_bytes(Encoding.PEM) for certificate in parse_chain(chain)
    )
    private = load_pem_private_key(key, password=None)
    return certificates, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def expires_soon(not_before: datetime, not_after: datetime, current_time: datetime) -> bool:
    """Return whether a certificate expires within SHORT_S seconds.

    For a short-lived certificate it is the last tenth of its life.
    """
    alarm_s = min(SHORT_S, (not_after - not_before).total_seconds() / 10)
    return (not_after - current_time).total_seconds() < alarm_s


def format_name(name: Name) -> str:
    """Return the part of a distinguished name that is shown: common name or organization."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        attributes = name.get_attributes_for_oid(kind)
        if attributes:
            return str(attributes[0].value)
    return name.rfc4514_string() or "an issuer without a name"
