"""What a certificate with its chain says, and which names it is for.

Everything here is pure: bytes in PEM form and a time go in. `cryptography` is imported when it
is used, because most commands never look at a certificate.
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
    """A certificate with its chain, and the key to it, both as PEM."""

    chain: bytes
    key: bytes

    @property
    def name(self) -> str:
        """Changes with the content, so that a renewed certificate is a new pair of files."""
        return hashlib.sha256(self.chain + b"\0" + self.key).hexdigest()[:16]


# What our clock and that of an authority may differ by.
CLOCK_SKEW = timedelta(minutes=10)


# A certificate that has less than this left, or a tenth of its life, is told of.
SHORT_S = 14 * 24 * 3600


@dataclass(frozen=True)
class CertificateDetails:
    """What people want to know of a certificate; times are in UTC."""

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

    def is_valid(self, now: datetime) -> bool:
        return self.not_before - CLOCK_SKEW <= now < self.not_after

    def days_left(self, now: datetime) -> float:
        """Negative once it has expired."""
        return (self.not_after - now).total_seconds() / 86400


class Unreadable(ValueError):
    """Text that holds no certificate, or a broken one."""


def certificates_of(chain: bytes) -> list[Certificate]:
    """The certificates of a PEM file in their order. Raises Unreadable where there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def read_details(chain: bytes) -> CertificateDetails:
    """What the first certificate of a chain says. Raises Unreadable."""
    from cryptography.hazmat.primitives.hashes import SHA256

    leaf = certificates_of(chain)[0]
    return CertificateDetails(
        names=names_of(leaf),
        subject=leaf.subject.rfc4514_string(),
        issuer=short_name(leaf.issuer),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        serial=f"{leaf.serial_number:x}",
        fingerprint=leaf.fingerprint(SHA256()).hex(),
        is_self_signed=leaf.issuer == leaf.subject,
    )


def names_of(leaf: Certificate) -> tuple[str, ...]:
    """Host names and addresses that a certificate is for."""
    from cryptography import x509

    try:
        found = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    hosts = found.get_values_for_type(x509.DNSName)
    addresses = found.get_values_for_type(x509.IPAddress)
    return (*hosts, *(str(address) for address in addresses))


def covers(name: str, offered: Sequence[str]) -> bool:
    """Whether a certificate for `offered` covers a host name or address, as browsers see it."""
    wanted = name.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(wanted)) in offered
    except ValueError:
        pass
    _, dot, parent = wanted.partition(".")
    stars = {f"*.{parent}"} if dot and "." in parent else set()
    return any(one.lower() in {wanted, *stars} for one in offered)


def as_pem(chain: bytes, key: bytes) -> tuple[bytes, bytes]:
    """The same certificates and key, written as every program reads them.

    Files may hold byte order marks, old line ends, indentation and remarks, which OpenSSL
    overlooks and Traefik does not. Raises ValueError or TypeError for what cannot be read.
    """
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    certificates = b"".join(one.public_bytes(Encoding.PEM) for one in certificates_of(chain))
    private = load_pem_private_key(key, password=None)
    return certificates, private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def expires_soon(not_before: datetime, not_after: datetime, now: datetime) -> bool:
    """Whether so little is left that somebody should be told; short-lived ones get a tenth."""
    alarm_s = min(SHORT_S, (not_after - not_before).total_seconds() / 10)
    return (not_after - now).total_seconds() < alarm_s


def short_name(name: Name) -> str:
    """The part of a distinguished name that people know it by."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return name.rfc4514_string() or "somebody without a name"
