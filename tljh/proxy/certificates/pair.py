"""What a certificate with its chain says, and whether a key and a name belong to it.

Everything here is pure: bytes in PEM form and a time go in. `cryptography` is imported when it
is used, because most commands never look at a certificate.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from cryptography.x509 import Certificate, Name

Part = Literal["cert", "key"]
SMALLEST_RSA_BITS = 2048
# A certificate that has less than this left, or a tenth of its life, is told of.
SHORT_S = 14 * 24 * 3600


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


@dataclass(frozen=True)
class Details:
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

    def days_left(self, now: datetime) -> float:
        """Negative once it has expired."""
        return (self.not_after - now).total_seconds() / 86400


class Unreadable(ValueError):
    """Text that holds no certificate, or a broken one."""


def utc_now() -> datetime:
    return datetime.now(timezone.utc)


def certificates_of(chain: bytes) -> list[Certificate]:
    """The certificates of a PEM file in their order. Raises Unreadable where there is none."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise Unreadable(str(error)) from error


def details(chain: bytes) -> Details:
    """What the first certificate of a chain says. Raises Unreadable."""
    from cryptography.hazmat.primitives.hashes import SHA256

    leaf = certificates_of(chain)[0]
    return Details(
        names=names_of(leaf),
        subject=leaf.subject.rfc4514_string(),
        issuer=_short(leaf.issuer),
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


def fits(name: str, offered: Sequence[str]) -> bool:
    """Whether a certificate for `offered` covers a host name or address, as browsers see it."""
    wanted = name.lower().rstrip(".")
    try:
        return str(ipaddress.ip_address(wanted)) in offered
    except ValueError:
        pass
    _, dot, parent = wanted.partition(".")
    stars = {f"*.{parent}"} if dot and "." in parent else set()
    return any(one.lower() in {wanted, *stars} for one in offered)


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
        *_of_the_pair(certificates, public),
        *_of_the_order(certificates),
        *_of_the_time(certificates, now),
        *_of_trust(certificates),
    ]
    if not any(flaw.is_fatal for flaw in flaws):
        flaws += _of_the_names(certificates[0], names)
    return flaws


def _is_no_pem(chain: bytes) -> bool:
    return b"-----BEGIN CERTIFICATE-----" not in chain


def _public_key(key: bytes) -> PublicKeyTypes | Flaw:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PRIVATE KEY-----" not in key:
        return Flaw("key", "holds no private key in PEM form")
    try:
        return load_pem_private_key(key, password=None).public_key()
    except TypeError:
        return Flaw(
            "key", "is a private key with a passphrase", fix="take it off: openssl pkey -in KEY"
        )
    except (ValueError, UnsupportedAlgorithm) as error:
        return Flaw("key", "holds a private key that cannot be read", why=str(error))


def _of_the_pair(certificates: Sequence[Certificate], public: PublicKeyTypes) -> Iterator[Flaw]:
    if certificates[0].public_key() == public:
        return
    later = [n for n, one in enumerate(certificates[1:], 2) if one.public_key() == public]
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
            why=f"the certificate is that of {_short(certificates[0].subject)}",
            fix="name the key that the certificate was made with",
            is_mismatch=True,
        )


def _of_the_order(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    for number, (below, above) in enumerate(pairwise(certificates), 1):
        if not _has_issued(above, below):
            yield Flaw(
                "cert",
                "is not in order: each certificate must be followed by that of its issuer",
                why=f"certificate {number} was issued by {_short(below.issuer)}, "
                f"certificate {number + 1} is that of {_short(above.subject)}",
                fix="put the hub's certificate first, then its issuer's, then that one's issuer's",
            )
            return


def _of_the_time(certificates: Sequence[Certificate], now: datetime) -> Iterator[Flaw]:
    for number, one in enumerate(certificates, 1):
        which = "" if number == 1 else f" (certificate {number}, of {_short(one.subject)})"
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
        elif number == 1 and is_short(one.not_valid_before_utc, one.not_valid_after_utc, now):
            yield Flaw(
                "cert",
                f"expires on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
                fix="put a new certificate and its key there; it is taken up by itself",
                is_fatal=False,
            )


def is_short(not_before: datetime, not_after: datetime, now: datetime) -> bool:
    """Whether so little is left that somebody should be told; short-lived ones get a tenth."""
    alarm_s = min(SHORT_S, (not_after - not_before).total_seconds() / 10)
    return (not_after - now).total_seconds() < alarm_s


def _of_trust(certificates: Sequence[Certificate]) -> Iterator[Flaw]:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    leaf = certificates[0]
    public = leaf.public_key()
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
            why=f"the certificate of its issuer {_short(leaf.issuer)} is missing in the file",
            fix="use the file that the authority calls fullchain, or append its intermediate",
            is_fatal=False,
        )


def _of_the_names(leaf: Certificate, names: Sequence[str]) -> Iterator[Flaw]:
    offered = names_of(leaf)
    if not offered:
        yield Flaw("cert", "names no host (no subjectAltName): browsers refuse it", is_fatal=False)
        return
    for name in names:
        if not fits(name, offered):
            yield Flaw(
                "cert", f"is not for {name}", why=f"it is for {', '.join(offered)}", is_fatal=False
            )


def _has_issued(issuer: Certificate, subject: Certificate) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _short(name: Name) -> str:
    """The part of a distinguished name that people know it by."""
    from cryptography.x509.oid import NameOID

    for kind in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        found = name.get_attributes_for_oid(kind)
        if found:
            return str(found[0].value)
    return name.rfc4514_string() or "somebody without a name"
