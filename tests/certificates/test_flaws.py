from __future__ import annotations

import shutil
import subprocess
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.certificates.authority import NOW, issue, named
from tljh.base.clock import get_utc_time
from tljh.certificates.audit import judge
from tljh.certificates.x509 import convert_to_pem

ROOT = issue("Root", is_authority=True, to_day=900)
MIDDLE = issue("Middle", by=ROOT, is_authority=True, to_day=400)
HUB = issue("hub", ["hub.example.org", "192.0.2.7"], by=MIDDLE)
CHAIN = HUB.pem + MIDDLE.pem


def flaws(chain: bytes, key: bytes, *names: str) -> list[str]:
    return [f"{flaw.part} {flaw.what}" for flaw in judge(chain, key, names, NOW)]


def fatal(chain: bytes, key: bytes) -> list[str]:
    return [f"{flaw.part} {flaw.what}" for flaw in judge(chain, key, (), NOW) if flaw.is_fatal]


def test_a_certificate_with_its_chain_and_key_has_no_flaw():
    assert flaws(CHAIN, HUB.key_pem(), "hub.example.org", "192.0.2.7") == []
    assert flaws(CHAIN + ROOT.pem, HUB.key_pem()) == []


def test_key_of_another_certificate_is_refused_and_says_whose_the_certificate_is():
    (flaw,) = judge(CHAIN, ROOT.key_pem(), (), NOW)
    assert flaw.part == "key" and flaw.is_fatal and flaw.is_mismatch
    assert flaw.why == "the certificate is that of hub"


def test_chain_that_begins_with_the_authority_is_refused_as_out_of_order():
    assert fatal(MIDDLE.pem + HUB.pem, HUB.key_pem())[0].startswith("cert is not in order")


def test_chain_with_a_stranger_in_it_is_refused():
    stranger = issue("Stranger", is_authority=True)
    (flaw,) = judge(HUB.pem + stranger.pem, HUB.key_pem(), (), NOW)
    assert flaw.is_fatal
    assert flaw.why == "certificate 1 was issued by Middle, certificate 2 is that of Stranger"


def test_expired_certificates_are_refused_whether_the_hubs_or_an_authoritys():
    old = issue("hub", ["hub.example.org"], by=MIDDLE, to_day=-1)
    assert fatal(old.pem, old.key_pem()) == ["cert has expired"]
    ended = issue("Ended", by=ROOT, is_authority=True, to_day=-1)
    leaf = issue("hub", ["hub.example.org"], by=ended)
    assert fatal(leaf.pem + ended.pem, leaf.key_pem()) == [
        "cert has expired (certificate 2, of Ended)"
    ]


def test_certificate_from_tomorrow_on_is_refused_and_the_clock_is_named():
    early = issue("hub", ["hub.example.org"], by=MIDDLE, from_day=1)
    (flaw,) = judge(early.pem, early.key_pem(), (), NOW)
    assert flaw.is_fatal and "timedatectl" in (flaw.fix or "")


def test_self_signed_certificate_is_served_with_a_warning():
    own = issue("hub", ["hub.lan"])
    (flaw,) = judge(own.pem, own.key_pem(), ("hub.lan",), NOW)
    assert not flaw.is_fatal and "self-signed" in flaw.what


def test_name_that_does_not_fit_is_a_warning_which_tells_what_does():
    (flaw,) = judge(CHAIN, HUB.key_pem(), ("other.example.org",), NOW)
    assert not flaw.is_fatal
    assert flaw.what == "is not for other.example.org"
    assert flaw.why == "it is for hub.example.org, 192.0.2.7"


def test_certificate_without_its_intermediate_is_a_warning():
    alone = issue("hub", ["hub.example.org"], by=MIDDLE, has_aia=True)
    (flaw,) = judge(alone.pem, alone.key_pem(), (), NOW)
    assert not flaw.is_fatal and "no chain" in flaw.what
    assert flaws(alone.pem + MIDDLE.pem, alone.key_pem()) == []


def test_certificate_of_an_own_ca_without_its_intermediate_is_a_warning_too():
    alone = issue("hub", ["hub.example.org"], by=MIDDLE)
    (flaw,) = judge(alone.pem, alone.key_pem(), (), NOW)
    assert not flaw.is_fatal and "no chain" in flaw.what
    assert flaw.why == "the certificate of its issuer Middle is missing in the file"


def test_certificate_that_soon_expires_is_a_warning_but_a_short_lived_one_is_not():
    soon = issue("hub", ["hub.example.org"], by=MIDDLE, from_day=-80, to_day=5)
    assert "cert expires on 2026-11-26 12:00 UTC" in flaws(soon.pem, soon.key_pem())
    six_days = issue("hub", ["hub.example.org"], by=MIDDLE, from_day=-1, to_day=5)
    assert flaws(six_days.pem + MIDDLE.pem, six_days.key_pem()) == []


@pytest.mark.parametrize(
    ("chain", "key", "expected"),
    [
        (b"hello", HUB.key_pem(), "cert contains no certificate in PEM form"),
        (b"", HUB.key_pem(), "cert contains no certificate in PEM form"),
        (CHAIN[:300], HUB.key_pem(), "cert cannot be read"),
        (CHAIN, b"hello", "key contains no private key in PEM form"),
        (CHAIN, HUB.key_pem()[:100], "key contains no private key in PEM form"),
        (CHAIN, HUB.key_pem(b"hush"), "key is a private key with a passphrase"),
    ],
    ids=["text", "nothing", "cut-short", "text-as-key", "key-cut-short", "passphrase"],
)
def test_files_that_are_something_else_are_refused(chain, key, expected):
    if key.startswith(b"-----BEGIN PRIVATE") and b"-----END" not in key:
        expected = "key contains a private key that cannot be read"
    assert fatal(chain, key) == [expected]


BOM = b"\xef\xbb\xbf"
# What OpenSSL overlooks in a PEM file, and Go does not.
QUIRKS = {
    "byte order mark": lambda pem: BOM + pem,
    "old Mac line ends": lambda pem: pem.replace(b"\n", b"\r"),
    "indented": lambda pem: b"".join(b"  " + line for line in pem.splitlines(keepends=True)),
    "blocks without a line end between": lambda pem: pem.rstrip().replace(b"-\n-", b"--"),
    "the label of old": lambda pem: pem.replace(b" CERTIFICATE-", b" X509 CERTIFICATE-"),
    "remarks": lambda pem: b"friendlyName: Universit\xe4t\n" + pem,
}


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=list(QUIRKS))
def test_what_is_handed_on_is_plain_however_the_files_are_written(quirk):
    chain, key = quirk(CHAIN), quirk(HUB.key_pem())
    assert fatal(chain, key) == []
    assert convert_to_pem(chain, key) == (CHAIN, HUB.key_pem())


def self_signed(key, serial=7):
    builder = (
        x509.CertificateBuilder(named("hub"), named("hub"), key.public_key(), serial)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
    )
    hashing = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return (
        builder.sign(key, hashing).public_bytes(serialization.Encoding.PEM),
        key.private_bytes(*form, serialization.NoEncryption()),
    )


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.BrainpoolP256R1(), ec.SECP224R1()])
def test_curve_that_the_proxy_does_not_know_is_refused_by_its_name(curve):
    (flaw,) = [
        flaw
        for flaw in judge(*self_signed(ec.generate_private_key(curve)), (), NOW)
        if flaw.is_fatal
    ]
    assert flaw.part == "cert" and curve.name in (flaw.why or "")


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1(), None])
def test_curves_that_it_knows_are_fine(curve):
    key = ec.generate_private_key(curve) if curve else ed25519.Ed25519PrivateKey.generate()
    assert fatal(*self_signed(key)) == []


def test_fix_for_a_passphrase_prints_no_private_key():
    (flaw,) = judge(CHAIN, HUB.key_pem(b"hush"), (), NOW)
    assert "openssl pkey" in (flaw.fix or "") and " -out " in (flaw.fix or "")


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_negative_serial_number_is_refused(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    options = (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=hub -days 90 -set_serial -5 -out c -keyout k"
    )
    subprocess.run(["openssl", *options.split()], cwd=tmp_path, check=True, capture_output=True)
    pair = [(tmp_path / name).read_bytes() for name in "ck"]
    flaws = [flaw.what for flaw in judge(*pair, (), get_utc_time()) if flaw.is_fatal]
    assert flaws == ["has a negative serial number, which the proxy refuses"]
