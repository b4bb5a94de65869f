"""What is wrong with a certificate and its key, before anybody is served with them. Pure."""

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
    """Something wrong with a pair. `is_fatal` ones must not be served; the others are told."""

    part: Part
    what: str
    why: str | None = None
    fix: str | None = None
    is_fatal: bool = True
    # The key may be the one that is wrong, so naming the other file may mend it.
    is_mismatch: bool = False


def judge(chain: bytes, key: bytes, names: Sequence[str], now: datetime) -> list[Flaw]:
    """All that is wrong with a certificate and its key for a hub that is reached by `names`."""
    try:
        certificates = certificates_of(chain)
    except Unreadable as error:
        what = "holds no certificate in PEM form" if _is_no_pem(chain) else "cannot be read"
        return [Flaw("cert", what, why=None if _is_no_pem(chain) else str(error))]
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
        flaws += _of_the_names(certificates[0], names)
    return flaws


def _is_no_pem(chain: bytes) -> bool:
    return b"CERTIFICATE-----" not in chain


def _public_key(key: bytes) -> PublicKeyTypes | Flaw:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in key:
        return Flaw("key", "holds no private key in PEM form")
    try:
        return load_pem_private_key(key, password=None).public_key()
    except TypeError:
        return Flaw(
            "key",
            "is a private key with a passphrase",
            # Without -out it would be printed.
            fix="take it off: sudo openssl pkey -in KEY -out NEW-KEY, and name that file",
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        return Flaw("key", "holds a private key that cannot be read", why=str(error))


def _of_the_key(leaf: Certificate) -> Iterator[Flaw]:
    """Keys and serial numbers that OpenSSL takes, and neither Traefik nor browsers do."""
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
            fix="have one made for a key on P-256: "
            "openssl ecparam -name prime256v1 -genkey -out KEY",
        )
    if leaf.serial_number < 0:
        yield Flaw(
            "cert",
            "has a negative serial number, which the proxy refuses",
            fix="have one made whose serial number is positive",
        )


def _of_the_pair(certificates: Sequence[Certificate], public: PublicKeyTypes) -> Iterator[Flaw]:
    if _key_of(certificates[0]) == public:
        return
    later = [n for n, one in enumerate(certificates[1:], 2) if _key_of(one) == public]
    if later:
        yield Flaw(
            "cert",
            "is not in order: the hub's own certificate must come first",
            why=f"the key belongs to certificate {later[0]} of {len(certificates)}",
            fix="put the hub's certificate before those of the authorities",
        )
    else:
        yield Flaw(
            "key",
            "is not the key of the certificate",
            why=f"the certificate is that of {short_name(certificates[0].subject)}",
            fix="name the key that the certificate was made with",
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
                fix="put the hub's certificate first, then its issuer's, then that one's issuer's",
            )
            return


def _of_the_time(certificates: Sequence[Certificate], now: datetime) -> Iterator[Flaw]:
    for number, one in enumerate(certificates, 1):
        which = "" if number == 1 else f" (certificate {number}, of {short_name(one.subject)})"
        if one.not_valid_after_utc <= now:
            yield Flaw(
                "cert",
                f"has expired{which}",
                why=f"it was valid until {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
                fix="put a new certificate and its key there",
            )
        elif one.not_valid_before_utc > now:
            yield Flaw(
                "cert",
                f"is not valid yet{which}",
                why=f"it is from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on, "
                f"and the clock says {now:%Y-%m-%d %H:%M}",
                fix="see whether the clock is right: timedatectl",
            )
        elif number == 1 and expires_soon(one.not_valid_before_utc, one.not_valid_after_utc, now):
            yield Flaw(
                "cert",
                f"expires on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
                fix="put a new certificate and its key there; it is taken up by itself",
                is_fatal=False,
            )


def _of_trust(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    leaf = certificates[0]
    public = _key_of(leaf)
    if isinstance(public, RSAPublicKey) and public.key_size < SMALLEST_RSA_BITS:
        yield Flaw(
            "cert",
            f"has an RSA key of {public.key_size} bits, which browsers refuse",
            fix=f"make one with at least {SMALLEST_RSA_BITS}, or an ECDSA key",
            is_fatal=False,
        )
    if leaf.issuer == leaf.subject:
        yield Flaw(
            "cert",
            "is self-signed: browsers warn of it until each of them is told to trust it",
            is_fatal=False,
        )
    elif len(certificates) == 1:
        try:
            leaf.extensions.get_extension_for_class(x509.AuthorityInformationAccess)
        except x509.ExtensionNotFound:
            return  # an organization's own authority may well sign with its root
        yield Flaw(
            "cert",
            "holds no chain: some browsers and all programs will not trust it",
            why=f"the certificate of its issuer {short_name(leaf.issuer)} is missing in the file",
            fix="use the file that the authority calls fullchain, or append its intermediate",
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
    """Its public key; None for one of a kind that is not known."""
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
