"""Keys, and requests to sign them."""

from __future__ import annotations

from collections.abc import Sequence

RSA_BITS = 2048


def new_key(kind: str) -> bytes:
    """A private key as PEM: `ecdsa` (P-256) or `rsa`."""
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = (
        rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def signing_request(key: bytes, names: Sequence[str]) -> bytes:
    """A request for a certificate of these names, as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(
        x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False
    )
    signer = load_pem_private_key(key, password=None)
    return builder.sign(signer, SHA256()).public_bytes(Encoding.PEM)  # type: ignore[arg-type]
