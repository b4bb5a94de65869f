"""An audit of a certificate and its key before Traefik serves them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from tljh.certificates.x509 import (
    UnreadableCertificate,
    covers,
    expires_soon,
    format_name,
    get_certificate_names,
    parse_chain,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509 import Certificate

Part = Literal["cert", "key"]


SMALLEST_RSA_BITS = 2048


# P-256, P-384 and P-521: the only ones that TLS of Go, and browsers, know.
CURVES = ("secp256r1", "secp384r1", "secp521r1")


@dataclass(frozen=True)
class PairProblem:
    """A mistake in a pair. A pair with a fatal one must not be served; others are warnings."""

    part: Part
    what: str
    why: str | None = None
    fix: str | None = None
    is_fatal: bool = True
    # Either file may be the wrong one, so naming another one for either may fix it.
    is_mismatch: bool = False


def judge(
    chain: bytes, key: bytes, names: Sequence[str], current_time: datetime
) -> list[PairProblem]:
    """Return all flaws of a certificate and its key for a hub with these names."""
    try:
        certificates = parse_chain(chain)
    except UnreadableCertificate as error:
        if b"CERTIFICATE-----" not in chain:
            return [PairProblem("cert", "contains no certificate in PEM form")]
        return [PairProblem("cert", "cannot be read", why=str(error))]
    public = _read_public_key(key)
    if isinstance(public, PairProblem):
        return [public]
    flaws = [
        *_check_key(certificates[0]),
        *_check_match(certificates, public),
        *_check_order(certificates),
        *_check_time(certificates, current_time),
        *_check_trust(certificates),
    ]
    if not any(flaw.is_fatal for flaw in flaws):
        flaws += [*_check_chain(certificates), *_check_names(certificates[0], names)]
    return flaws


def _read_public_key(key: bytes) -> PublicKeyTypes | PairProblem:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in key:
        return PairProblem("key", "contains no private key in PEM form")
    try:
        return load_pem_private_key(key, password=None).public_key()
    except TypeError:
        return PairProblem(
            "key",
            "is a private key with a passphrase",
            # Without -out, openssl would print the key.
            fix="remove it: sudo openssl pkey -in KEY -out NEW-KEY, and name that file",
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        return PairProblem("key", "contains a private key that cannot be read", why=str(error))


def _check_key(leaf: Certificate) -> Iterator[PairProblem]:
    """Find keys and serial numbers that OpenSSL accepts, but neither Traefik nor browsers do."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    public = _get_public_key(leaf)
    is_usable = isinstance(public, (RSAPublicKey, Ed25519PublicKey))
    curve = public.curve.name if isinstance(public, EllipticCurvePublicKey) else None
    if not is_usable and curve not in CURVES:
        yield PairProblem(
            "cert",
            "has a key that neither the proxy nor browsers can use",
            why=f"it is on the curve {curve}" if curve else "it is not RSA, ECDSA or Ed25519",
            fix="request a certificate for a key on P-256: "
            "openssl ecparam -name prime256v1 -genkey -out KEY",
        )
    if leaf.serial_number < 0:
        yield PairProblem(
            "cert",
            "has a negative serial number, which the proxy refuses",
            fix="request a certificate with a positive serial number",
        )


def _check_match(
    certificates: Sequence[Certificate], public: PublicKeyTypes
) -> Iterator[PairProblem]:
    if _get_public_key(certificates[0]) == public:
        return
    later = [
        number
        for number, certificate in enumerate(certificates[1:], 2)
        if _get_public_key(certificate) == public
    ]
    if later:
        yield PairProblem(
            "cert",
            "is not in order: the hub's own certificate must come first",
            why=f"the key belongs to certificate {later[0]} of {len(certificates)}",
            fix="put the hub's certificate before those of the CAs",
        )
    else:
        yield PairProblem(
            "key",
            "is not the key of the certificate",
            why=f"the certificate is that of {format_name(certificates[0].subject)}",
            fix="name the key for which the certificate was issued",
            is_mismatch=True,
        )


def _check_order(certificates: Sequence[Certificate]) -> Iterator[PairProblem]:
    for number, (below, above) in enumerate(pairwise(certificates), 1):
        if not _has_issued(above, below):
            yield PairProblem(
                "cert",
                "is not in order: each certificate must be followed by that of its issuer",
                why=f"certificate {number} was issued by {format_name(below.issuer)}, "
                f"certificate {number + 1} is that of {format_name(above.subject)}",
                fix="put the hub's certificate first, then its issuer's, and so on",
            )
            return


def _check_time(
    certificates: Sequence[Certificate], current_time: datetime
) -> Iterator[PairProblem]:
    for number, certificate in enumerate(certificates, 1):
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        subject = format_name(certificate.subject)
        which = "" if number == 1 else f" (certificate {number}, of {subject})"
        if end <= current_time:
            yield PairProblem(
                "cert",
                f"has expired{which}",
                why=f"it was valid until {end:%Y-%m-%d %H:%M} UTC",
                fix="replace both files by a new certificate and its key",
            )
        elif begin > current_time:
            yield PairProblem(
                "cert",
                f"is not valid yet{which}",
                why=f"it is valid from {begin:%Y-%m-%d %H:%M} UTC, "
                f"and the clock shows {current_time:%Y-%m-%d %H:%M}",
                fix="check the clock: timedatectl",
            )
        elif number == 1 and expires_soon(begin, end, current_time):
            yield PairProblem(
                "cert",
                f"expires on {end:%Y-%m-%d %H:%M} UTC",
                fix="replace both files by a new certificate and its key; no command is needed",
                is_fatal=False,
            )


def _check_trust(certificates: Sequence[Certificate]) -> Iterator[PairProblem]:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    leaf = certificates[0]
    public = _get_public_key(leaf)
    if isinstance(public, RSAPublicKey) and public.key_size < SMALLEST_RSA_BITS:
        yield PairProblem(
            "cert",
            f"has an RSA key of {public.key_size} bits, which browsers refuse",
            fix=f"use a key with at least {SMALLEST_RSA_BITS} bits, or an ECDSA key",
            is_fatal=False,
        )
    if leaf.issuer == leaf.subject:
        yield PairProblem(
            "cert",
            "is self-signed: each browser warns of it until it is set to trust it",
            is_fatal=False,
        )


def _check_chain(certificates: Sequence[Certificate]) -> Iterator[PairProblem]:
    leaf = certificates[0]
    if leaf.issuer != leaf.subject and len(certificates) == 1:
        yield PairProblem(
            "cert",
            "contains no chain: some browsers and all programs will not trust it",
            why=f"the certificate of its issuer {format_name(leaf.issuer)} is missing in the file",
            # The CA of an organization may sign with its root, which no file needs to contain. The
            # certificate does not say so; both are appended in the same way.
            fix="use the file that the CA calls fullchain, or append the issuer's certificate",
            is_fatal=False,
        )


def _check_names(leaf: Certificate, names: Sequence[str]) -> Iterator[PairProblem]:
    offered = get_certificate_names(leaf)
    if not offered:
        yield PairProblem(
            "cert", "names no host (no subjectAltName): browsers refuse it", is_fatal=False
        )
        return
    for name in names:
        if not covers(name, offered):
            yield PairProblem(
                "cert", f"is not for {name}", why=f"it is for {', '.join(offered)}", is_fatal=False
            )


def _get_public_key(certificate: Certificate) -> PublicKeyTypes | None:
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
