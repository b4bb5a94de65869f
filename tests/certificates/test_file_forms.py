from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12

from tests.certificates.authority import issue, named
from tljh.certificates.file_forms import describe_other_form, find_damaged_form, swap_fix

HUB = issue("hub", ["hub.example.org"])
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
REQUEST = x509.CertificateSigningRequestBuilder(named("hub")).sign(HUB.key, hashes.SHA256())
PFX = pkcs12.serialize_key_and_certificates(
    b"hub", HUB.key, HUB.certificate, None, serialization.BestAvailableEncryption(b"hush")
)
DER_KEY = HUB.key.private_bytes(
    DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


@pytest.mark.parametrize(
    ("part", "data", "what", "fix"),
    [
        ("cert", pkcs7.serialize_certificates([HUB.certificate], PEM), "PKCS#7", "pkcs7 -print"),
        ("cert", pkcs7.serialize_certificates([HUB.certificate], DER), "PKCS#7", "-inform DER"),
        ("key", pkcs7.serialize_certificates([HUB.certificate], PEM), "no private key", "request"),
        ("cert", PFX, "PKCS#12", "openssl pkcs12 -in '/a b' -nokeys -out '/a b.pem'"),
        ("key", PFX, "PKCS#12", "-nocerts -nodes"),
        ("cert", REQUEST.public_bytes(PEM), "signing request", "the CA issued"),
        ("cert", REQUEST.public_bytes(DER), "signing request", "the CA issued"),
        ("key", REQUEST.public_bytes(PEM), "signing request", "private key"),
        ("cert", HUB.certificate.public_bytes(DER), "without a certificate in PEM", "x509 -inform"),
        ("key", DER_KEY, "without a private key in PEM", "pkey -inform DER"),
        ("cert", HUB.key_pem(), "a private key, not a certificate", "certificate"),
        ("key", HUB.pem, "a certificate, not a private key", "key"),
        ("cert", b"\n", "empty", "copy the certificate"),
        ("cert", b"<!DOCTYPE html><p>404", "web page", "download"),
        ("cert", b"\xfe\xed\xfe\xed\0\0", "Java keystore", "keytool"),
        ("cert", HUB.pem.decode().encode("utf-16"), "UTF-16", "iconv -f UTF-16"),
        ("key", HUB.key_pem().decode().encode("utf-16"), "UTF-16", "iconv -f UTF-16"),
        ("key", b"PuTTY-User-Key-File-3: ssh-rsa\n", "PuTTY", "signing request"),
        ("cert", b"".join(HUB.pem.splitlines(True)[1:-1]), "without the lines", "-----BEGIN CERT"),
    ],
)
def test_each_form_has_its_own_advice(part, data, what, fix):
    form = describe_other_form(part, data, "/a b")
    assert what in form.what
    assert fix in form.fix


@pytest.mark.parametrize(
    ("part", "data", "what", "fix"),
    [
        ("key", b"-----BEGIN OPENSSH PRIVATE KEY-----\n", "private key of SSH", "ssh-keygen"),
        ("cert", HUB.pem.replace(b" CERT", b" TRUSTED CERT"), "OpenSSL's own", "openssl x509"),
        ("cert", HUB.pem.replace(b"\n", b"\\n"), "in place of its line breaks", "sudo sed"),
        ("key", HUB.key_pem().replace(b"\n", b"\\n"), "in place of its line breaks", "sudo sed"),
        ("cert", HUB.pem[:-40], "cut off", "copy the whole file"),
        ("key", HUB.key_pem()[:-40], "cut off", "copy the whole file"),
    ],
)
def test_a_file_with_the_right_label_that_cannot_be_read_has_its_own_advice(part, data, what, fix):
    form = find_damaged_form(part, data, "/a b")
    assert form is not None and what in form.what and fix in form.fix


def test_a_certificate_and_its_key_are_fine_in_one_file_and_with_line_ends_of_windows():
    for data in (HUB.pem + HUB.key_pem(), (HUB.key_pem() + HUB.pem).replace(b"\n", b"\r\n")):
        assert find_damaged_form("cert", data, "/a") is None
        assert find_damaged_form("key", data, "/a") is None


def test_swapped_files_are_exchanged_by_one_command():
    fix = swap_fix("/etc/hub.key", "/etc/hub.crt")
    assert "sudo tljh-config set https.tls '{cert: /etc/hub.crt, key: /etc/hub.key}'" in fix
