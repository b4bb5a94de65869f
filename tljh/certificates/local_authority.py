"""This machine's own certificate authority (CA), for a hub without a public name: mode `internal`.

Users trust its certificate once. It issues the hub's certificate, which is renewed unnoticed. X.509
name constraints limit it to names of this machine and of private networks. So a thief of its key
cannot impersonate other sites.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.clock import get_utc_time
from tljh.base.path_groups import LocalCaFiles
from tljh.certificates.machine_names import find_machine_names
from tljh.certificates.x509 import UnreadableCertificate, get_certificate_names, parse_chain
from tljh.host.interface import HostReader

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from tljh.settings.sections.https import HttpsSettings

AUTHORITY_LIFE = timedelta(days=3650)


# Apple's systems accept 825 days from a private CA.
HUB_LIFE = timedelta(days=365)


# Clocks of users' computers may be slow. And a CA that users trust already must not begin in the
# future when this machine's clock is set back by up to a day.
BACKDATED = timedelta(days=1)


# Always permitted, so that a new address in a LAN needs no new CA.
PRIVATE_SUFFIXES = ("localhost", "local", "lan", "internal", "home.arpa")


PRIVATE_NETWORKS = (
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
)


@dataclass(frozen=True)
class Authority:
    """Certificate and key of the CA, and those of the hub, which it issued; all PEM."""

    certificate: bytes
    key: bytes
    hub: bytes
    hub_key: bytes

    def contents(self, files: LocalCaFiles) -> dict[Path, bytes]:
        """Return the files to write: their content by path. Only root may read them."""
        return {
            files.certificate: self.certificate,
            files.key: self.key,
            files.hub_certificate: self.hub,
            files.hub_key: self.hub_key,
        }

    @property
    def fingerprint(self) -> str:
        """Return the CA's fingerprint as browsers show it when they ask whether to trust it."""
        return compute_fingerprint(self.certificate)


def compute_fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 fingerprint of a certificate in the form AA:BB:…"""
    from cryptography.hazmat.primitives.hashes import SHA256

    digest = parse_chain(certificate)[0].fingerprint(SHA256())
    return digest.hex(":").upper()


def read_authority(
    host: HostReader,
    files: LocalCaFiles,
    https: HttpsSettings,
    current_time: datetime | None = None,
) -> Authority | None:
    """Return the local CA, made from the stored files where these can still be used.

    Returns None unless https.mode is `internal`.
    """
    if https.effective_mode != "internal":
        return None
    kept = {
        "certificate": host.read(files.certificate),
        "key": host.read(files.key),
        "hub": host.read(files.hub_certificate),
        "hub_key": host.read(files.hub_key),
    }
    return make_authority(
        kept, find_machine_names(host, https.domains), https.domains, current_time or get_utc_time()
    )


def make_authority(
    kept: Mapping[str, bytes | None],
    names: Sequence[str],
    required: Sequence[str],
    current_time: datetime,
) -> Authority:
    """Return a usable CA and hub certificate; reuse what is still good in `kept`.

    `kept` has the stored files by the fields `certificate`, `key`, `hub` and `hub_key`. The hub
    gets a new certificate if a name is missing in it, or when two thirds of its life are over.
    Every user has to trust a new CA by hand. So there is a new CA only if the old one is broken,
    expires soon, or may not certify one of the `required` names. Other `names` that it may not
    certify are left out of the hub's certificate.
    """
    authority = _load_usable_authority(kept, required, current_time)
    if authority is None:
        authority = _make_new_authority(names, current_time)
        kept = {}
    certificate, key = authority
    names = [name for name in names if _may_certify(certificate, name)]
    chain, hub_key = kept.get("hub"), kept.get("hub_key")
    if (
        chain is None
        or hub_key is None
        or not _is_good(chain, hub_key, certificate, names, current_time)
    ):
        chain, hub_key = _make_hub_certificate(certificate, key, names, current_time)
    return Authority(encode_certificate(certificate), encode_key(key), chain, hub_key)


def _load_usable_authority(
    kept: Mapping[str, bytes | None], required: Sequence[str], current_time: datetime
) -> tuple[x509.Certificate, EllipticCurvePrivateKey] | None:
    """Return certificate and key of the CA in `kept`, or None if a new one is needed."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        certificate = parse_chain(kept.get("certificate") or b"")[0]
        key = load_pem_private_key(kept.get("key") or b"", password=None)
    except (UnreadableCertificate, ValueError, TypeError):
        return None
    if not isinstance(key, EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    # A CA that begins in the future was made while the clock was wrong. No browser accepts it now.
    if (
        not certificate.not_valid_before_utc
        <= current_time
        <= certificate.not_valid_after_utc - HUB_LIFE
    ):
        return None
    if not all(_may_certify(certificate, name) for name in required):
        return None
    return certificate, key


def _may_certify(authority: x509.Certificate, name: str) -> bool:
    """Return whether a CA's name constraints permit a host name or address."""
    from cryptography import x509

    try:
        constraints = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return False
    permitted = [subtree.value for subtree in constraints.permitted_subtrees or ()]
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        domains = [subtree for subtree in permitted if isinstance(subtree, str)]
        return any(name == domain or name.endswith(f".{domain}") for domain in domains)
    return any(
        isinstance(subtree, (ipaddress.IPv4Network, ipaddress.IPv6Network)) and address in subtree
        for subtree in permitted
    )


def _is_good(
    chain: bytes,
    key: bytes,
    authority: x509.Certificate,
    names: Sequence[str],
    current_time: datetime,
) -> bool:
    """Return whether the hub's certificate fits CA, key and names, and is not due for renewal."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        leaf = parse_chain(chain)[0]
        leaf.verify_directly_issued_by(authority)
        has_key = load_pem_private_key(key, password=None).public_key() == leaf.public_key()
    except Exception:
        # Any mistake in our own files is fixed by new ones.
        return False
    life = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    is_fresh = leaf.not_valid_before_utc <= current_time < leaf.not_valid_after_utc - life / 3
    return has_key and is_fresh and set(names) <= set(get_certificate_names(leaf))


def _make_new_authority(
    names: Sequence[str], current_time: datetime
) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    title = make_title(f"JupyterHub authority of {names[0]}, {current_time:%Y-%m-%d}")
    permitted: list[x509.GeneralName] = [x509.DNSName(suffix) for suffix in PRIVATE_SUFFIXES]
    permitted += [x509.IPAddress(ipaddress.ip_network(network)) for network in PRIVATE_NETWORKS]
    for name in names:
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            permitted.append(x509.DNSName(name))
        else:
            permitted.append(x509.IPAddress(ipaddress.ip_network(address)))
    builder = (
        x509.CertificateBuilder()
        .subject_name(title)
        .issuer_name(title)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(current_time - BACKDATED)
        .not_valid_after(current_time + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(make_key_usage(is_authority=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256()), key


def _make_hub_certificate(
    authority: x509.Certificate,
    authority_key: EllipticCurvePrivateKey,
    names: Sequence[str],
    current_time: datetime,
) -> tuple[bytes, bytes]:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(make_title(_choose_common_name(names)))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(current_time - BACKDATED)
        .not_valid_after(min(current_time + HUB_LIFE, authority.not_valid_after_utc))
        .add_extension(
            x509.SubjectAlternativeName([make_general_name(name) for name in names]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(make_key_usage(is_authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
            critical=False,
        )
    )
    return encode_certificate(builder.sign(authority_key, hashes.SHA256())), encode_key(key)


def make_key_usage(*, is_authority: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_title(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    # The standard allows 64 characters.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _choose_common_name(names: Sequence[str]) -> str:
    """Return the name to show in a certificate's subject: never an IP address.

    OpenSSL would check an address there as a host name, and refuse it.
    """
    hosts = [name for name in names if isinstance(make_general_name(name).value, str)]
    return hosts[0] if hosts else f"hub at {names[0]}"


def make_general_name(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def encode_certificate(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.PEM)


def encode_key(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
