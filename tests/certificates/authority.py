"""Certificates for tests, as right or as wrong as a test wants them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

NOW = datetime(2026, 11, 21, 12, tzinfo=timezone.utc)


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Issued:
    """A certificate, its key, and what is needed to issue others with it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self, passphrase: bytes | None = None) -> bytes:
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase)
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )


def issue(
    name: str,
    names: Sequence[str] = (),
    *,
    by: Issued | None = None,
    from_day: float = -10,
    to_day: float = 80,
    is_authority: bool = False,
    has_aia: bool = False,
) -> Issued:
    """Issue a certificate for `names`, valid from and to so many days from NOW."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(by.certificate.subject if by else named(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=from_day))
        .not_valid_after(NOW + timedelta(days=to_day))
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
    )
    if names:
        san = x509.SubjectAlternativeName([alternative(name) for name in names])
        builder = builder.add_extension(san, critical=False)
    if has_aia:
        where = x509.UniformResourceIdentifier("http://ca.example.org/ca.crt")
        access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
        builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return Issued(builder.sign(by.key if by else key, hashes.SHA256()), key)
