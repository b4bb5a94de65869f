"""The forms in which CAs and other programs hand out certificates and keys, and their conversion.

The proxy reads PEM only. An admin who has another form gets the command that converts it.
"""

from __future__ import annotations

import codecs
import re
import shlex
from dataclasses import dataclass
from typing import Literal

Part = Literal["cert", "key"]

# The end of the line by which a PEM file of the right kind begins. A certificate signing request
# has other words before the dashes.
LABELS: dict[Part, bytes] = {"cert": b"CERTIFICATE-----", "key": b"PRIVATE KEY-----"}

# The object identifier of signed data in DER (1.2.840.113549.1.7.2), by which PKCS#7 begins.
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")

# PKCS#12 is a DER sequence that begins with the version number 3.
_PKCS12_VERSION = bytes.fromhex("020103")

_JAVA_KEYSTORE = bytes.fromhex("feedfeed")

# A DER file is a sequence with its length: four bytes at most for a file of this size.
_DER_SEQUENCE = b"\x30"
_DER_HEAD_BYTES = 6


@dataclass(frozen=True)
class OtherForm:
    """A file that is not what its setting needs: a noun phrase for messages, and the fix."""

    what: str
    fix: str


def describe_other_form(part: Part, data: bytes, path: str) -> OtherForm:
    """Describe the content of a file that has no certificate, or no key, in PEM form."""
    name, pem = shlex.quote(path), shlex.quote(f"{path}.pem")
    noun = "certificate" if part == "cert" else "private key"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return OtherForm(
            f"a {noun} saved as UTF-16, which Windows calls Unicode",
            # Not readable by others, as a private key would be by the usual umask.
            f"convert it: (umask 077; sudo iconv -f UTF-16 -t ASCII -o {pem} {name}), and name "
            "that file",
        )
    if not data.strip():
        return OtherForm(f"an empty file, not a {noun}", f"copy the {noun} into it")
    if b"CERTIFICATE REQUEST-----" in data or _is_der_request(data):
        return OtherForm(
            f"a certificate signing request, not a {noun}",
            "name the certificate that the CA issued for this request"
            if part == "cert"
            else "name the private key that was made with this request",
        )
    if b"BEGIN PKCS7-----" in data or (_is_der(data) and _SIGNED_DATA in data[:40]):
        return _describe_pkcs7(part, name, pem, is_der=b"BEGIN PKCS7-----" not in data)
    if _is_der(data) and _PKCS12_VERSION in data[: _DER_HEAD_BYTES + 1] and not _is_der_key(data):
        what = "-nokeys" if part == "cert" else "-nocerts -nodes"
        return OtherForm(
            f"a PKCS#12 file (.pfx, .p12), not a {noun} in PEM form",
            f"convert it: sudo openssl pkcs12 -in {name} {what} -out {pem}, and name that file",
        )
    if data.startswith(_JAVA_KEYSTORE):
        return OtherForm(
            f"a Java keystore, not a {noun} in PEM form",
            f"convert it: sudo keytool -importkeystore -srckeystore {name} "
            f"-deststoretype pkcs12 -destkeystore {shlex.quote(f'{path}.p12')}, then: "
            f"sudo openssl pkcs12 -in {shlex.quote(f'{path}.p12')} -out {pem}",
        )
    return _describe_other_kind(part, data) or _describe_der(part, name, pem)


def find_damaged_form(part: Part, data: bytes, path: str) -> OtherForm | None:
    """Describe a file that has the label of its part, in a form that the proxy cannot read."""
    name, pem = shlex.quote(path), shlex.quote(f"{path}.pem")
    noun = "certificate" if part == "cert" else "private key"
    if part == "key" and b"BEGIN OPENSSH PRIVATE KEY-----" in data:
        return OtherForm(
            "a private key of SSH",
            "name the key that was made with the certificate signing request; if it is this one: "
            f"sudo cp {name} {pem} && sudo ssh-keygen -p -N '' -m PEM -f {pem}, and name that file",
        )
    if part == "cert" and b"BEGIN TRUSTED CERTIFICATE-----" in data:
        return OtherForm(
            "a certificate with OpenSSL's own settings of trust",
            f"convert it: sudo openssl x509 -in {name} -out {pem}, and name that file",
        )
    if b"-----\\n" in data:
        return OtherForm(
            f"a {noun} with \\n in place of its line breaks, as in JSON",
            f"correct it: sudo sed -i 's/\\\\n/\\n/g' {name}",
        )
    if data.count(b"-----BEGIN ") != data.count(b"-----END "):
        return OtherForm(
            f"a {noun} that is cut off: a line -----BEGIN has no -----END",
            "copy the whole file again",
        )
    return None


def swap_fix(cert: str, key: str) -> str:
    """Return the commands that exchange the values of https.tls.cert and https.tls.key."""
    return (
        "the two files are swapped: "
        f"sudo tljh-config set https.tls '{{cert: {_format_yaml(key)}, key: {_format_yaml(cert)}}}'"
    )


def _format_yaml(path: str) -> str:
    is_plain = re.fullmatch(r"[\w./-]+", path, re.ASCII) is not None
    return path if is_plain else f'"{path}"'


def _describe_pkcs7(part: Part, name: str, pem: str, *, is_der: bool) -> OtherForm:
    if part == "key":
        return OtherForm(
            "a PKCS#7 file (.p7b), which contains no private key",
            "name the key that was made with the certificate signing request",
        )
    form = "-inform DER " if is_der else ""
    return OtherForm(
        "a PKCS#7 file (.p7b), not a certificate in PEM form",
        f"convert it: sudo openssl pkcs7 {form}-print_certs -in {name} -out {pem}, "
        "and name that file",
    )


def _describe_other_kind(part: Part, data: bytes) -> OtherForm | None:
    if part == "cert" and LABELS["key"] in data:
        return OtherForm("a private key, not a certificate", "name the certificate's own file")
    if part == "key" and LABELS["cert"] in data:
        return OtherForm("a certificate, not a private key", "name the key's own file")
    if b"PUBLIC KEY-----" in data:
        noun = "certificate" if part == "cert" else "private key"
        return OtherForm(f"a public key, not a {noun}", f"name the {noun}")
    if data.startswith(b"PuTTY-User-Key-File"):
        return OtherForm(
            "a key of PuTTY (.ppk), not a file in PEM form",
            "name the key that was made with the certificate signing request",
        )
    if re.fullmatch(rb"[A-Za-z0-9+/=\s]{200,}", data):
        label = "CERTIFICATE" if part == "cert" else "PRIVATE KEY"
        return OtherForm(
            "a file without the lines around its content",
            f"put -----BEGIN {label}----- before it and -----END {label}----- after it, as lines "
            "of their own",
        )
    if data.lstrip()[:9].lower().startswith((b"<!doctype", b"<html")):
        return OtherForm(
            "a web page, not a file in PEM form", "download the file again: the CA sent an error"
        )
    return None


def _describe_der(part: Part, name: str, pem: str) -> OtherForm:
    noun, tool = ("certificate", "x509") if part == "cert" else ("private key", "pkey")
    return OtherForm(
        f"a file without a {noun} in PEM form",
        f"if it is in DER form: openssl {tool} -inform DER -in {name} -out {pem}",
    )


def _is_der(data: bytes) -> bool:
    return data.startswith(_DER_SEQUENCE)


def _is_der_request(data: bytes) -> bool:
    if not _is_der(data):
        return False
    # Imported here: it takes long, and only a file in a wrong form needs it.
    from cryptography import x509

    try:
        x509.load_der_x509_csr(data)
    except ValueError:
        return False
    return True


def _is_der_key(data: bytes) -> bool:
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        load_der_private_key(data, password=None)
    except (ValueError, TypeError):
        return False
    return True
