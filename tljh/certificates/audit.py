"""An audit of a certificate and its key before Traefik serves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from tljh.certificates.x509 import (
    Unreadable,
    certificates_of,
    covers,
    expires_soon,
    names_of,
    short_name,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509 import Certificate

Part = Literal["cert", "key"]


SMALLEST_RSA_BITS = 2048


# P-256, P-384 and P-521: the only ones that TLS of Go, and browsers, know.
CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True)
class Flaw:
    """A mistake in a pair. A pair with a fatal one must not be served; others are warnings."""

    part: Part
    what: str
    why: str | None = None
    fix: str | None = None
    is_fatal: bool = True
    # Either file may be the wrong one, so naming another one for either may fix it.
    is_mismatch: bool = False


def judge(chain: bytes, key: bytes, names: Sequence[str], now: datetime) -> list[Flaw]:
    """Return all flaws of a certificate and its key for a hub with these names."""
    try:
        certificates = certificates_of(chain)
    except Unreadable as error:
        if b"CERTIFICATE-----" not in chain:
            return [Flaw("cert", "contains no certificate in PEM form")]
        return [Flaw("cert", "cannot be read", why=str(error))]
    public = _public_key(key)
    if isinstance(public, Flaw):
        return [public]
    flaws = [
        *_of_the_key(certificates[0]),
        *_of_the_pair(certificates, public),
        *_of_the_order(certificates),
        *_of_the_time(certificates, now),
        *_of_trust(certificates),
    ]
    if not any(flaw.is_fatal for flaw in flaws):
        flaws += [*_of_the_chain(certificates), *_of_the_names(certificates[0], names)]
    return flaws


def _public_key(key: bytes) -> PublicKeyTypes | Flaw:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in key:
        return Flaw("key", "contains no private key in PEM form")
    try:
        return load_pem_private_key(key, password=None).public_key()
    except TypeError:
        return Flaw(
            "key",
            "is a private key with a passphrase",
            # Without -out, openssl would print the key.
            fix="remove it: sudo openssl pkey -in KEY -out NEW-KEY, and name that file",
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        return Flaw("key", "contains a private key that cannot be read", why=str(error))


def _of_the_key(leaf: Certificate) -> Iterator[Flaw]:
    """Find keys and serial numbers that OpenSSL accepts, but neither Traefik nor browsers do."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    public = _key_of(leaf)
    is_usable = isinstance(public, (RSAPublicKey, Ed25519PublicKey))
    curve = public.curve.name if isinstance(public, EllipticCurvePublicKey) else None
    if not is_usable and curve not in CURVES:
        yield Flaw(
            "cert",
            "has a key that neither the proxy nor browsers can use",
            why=f"it is on the curve {curve}" if curve else "it is not RSA, ECDSA or Ed25519",
            fix="request a certificate for a key on P-256: "
            "openssl ecparam -name prime256v1 -genkey -out KEY",
        )
    if leaf.serial_number < 0:
        yield Flaw(
            "cert",
            "has a negative serial number, which the proxy refuses",
            fix="request a certificate with a positive serial number",
        )


def _of_the_pair(certificates: Sequence[Certificate], public: PublicKeyTypes) -> Iterator[Flaw]:
    if _key_of(certificates[0]) == public:
        return
    later = [
        number
        for number, certificate in enumerate(certificates[1:], 2)
        if _key_of(certificate) == public
    ]
    if later:
        yield Flaw(
            "cert",
            "is not in order: the hub's own certificate must come first",
            why=f"the key belongs to certificate {later[0]} of {len(certificates)}",
            fix="put the hub's certificate before those of the CAs",
        )
    else:
        yield Flaw(
            "key",
            "is not the key of the certificate",
            why=f"the certificate is that of {short_name(certificates[0].subject)}",
            fix="name the key for which the certificate was issued",
            is_mismatch=True,
        )


def _of_the_order(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    for number, (below, above) in enumerate(pairwise(certificates), 1):
        if not _has_issued(above, below):
            yield Flaw(
                "cert",
                "is not in order: each certificate must be followed by that of its issuer",
                why=f"certificate {number} was issued by {short_name(below.issuer)}, "
                f"certificate {number + 1} is that of {short_name(above.subject)}",
                fix="put the hub's certificate first, then its issuer's, and so on",
            )
            return


def _of_the_time(certificates: Sequence[Certificate], now: datetime) -> Iterator[Flaw]:
    for number, certificate in enumerate(certificates, 1):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        subject = short_name(certificate.subject)
        which = "" if number == 1 else f" (certificate {number}, of {subject})"
        if end <= now:
            yield Flaw(
                "cert",
                f"has expired{which}",
                why=f"it was valid until {end:%Y-%m-%d %H:%M} UTC",
                fix="replace both files by a new certificate and its key",
            )
        elif begin > now:
            yield Flaw(
                "cert",
                f"is not valid yet{which}",
                why=f"it is valid from {begin:%Y-%m-%d %H:%M} UTC, "
                f"and the clock shows {now:%Y-%m-%d %H:%M}",
                fix="check the clock: timedatectl",
            )
        elif number == 1 and expires_soon(begin, end, now):
            yield Flaw(
                "cert",
                f"expires on {end:%Y-%m-%d %H:%M} UTC",
                fix="replace both files by a new certificate and its key; no command is needed",
                is_fatal=False,
            )


def _of_trust(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    leaf = certificates[0]
    public = _key_of(leaf)
    if isinstance(public, RSAPublicKey) and public.key_size < SMALLEST_RSA_BITS:
        yield Flaw(
            "cert",
            f"has an RSA key of {public.key_size} bits, which browsers refuse",
            fix=f"use a key with at least {SMALLEST_RSA_BITS} bits, or an ECDSA key",
            is_fatal=False,
        )
    if leaf.issuer == leaf.subject:
        yield Flaw(
            "cert",
            "is self-signed: each browser warns of it until it is set to trust it",
            is_fatal=False,
        )


def _of_the_chain(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    leaf = certificates[0]
    if leaf.issuer != leaf.subject and len(certificates) == 1:
        yield Flaw(
            "cert",
            "contains no chain: some browsers and all programs will not trust it",
            why=f"the certificate of its issuer {short_name(leaf.issuer)} is missing in the file",
            # The CA of an organization may sign with its root, which no file needs to contain. The
            # certificate does not say so; both are appended in the same way.
            fix="use the file that the CA calls fullchain, or append the issuer's certificate",
            is_fatal=False,
        )


def _of_the_names(leaf: Certificate, names: Sequence[str]) -> Iterator[Flaw]:
    offered = names_of(leaf)
    if not offered:
        yield Flaw("cert", "names no host (no subjectAltName): browsers refuse it", is_fatal=False)
        return
    for name in names:
        if not covers(name, offered):
            yield Flaw(
                "cert", f"is not for {name}", why=f"it is for {', '.join(offered)}", is_fatal=False
            )


def _key_of(certificate: Certificate) -> PublicKeyTypes | None:
    """Return the public key, or None if `cryptography` does not know its kind."""
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _has_issued(issuer: Certificate, subject: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
