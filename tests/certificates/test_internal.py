from __future__ import annotations

import socket
import ssl
import threading
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.certificates.authority import NOW, alternative, issue, named
from tljh.base.clock import get_utc_time
from tljh.certificates.local_authority import HUB_LIFE, Authority, make_authority
from tljh.certificates.machine_names import find_machine_names
from tljh.certificates.x509 import parse_chain, read_details
from tljh.host.fake import FakeHost
from tljh.host.interface import Result

NAMES = ("hub.example.org", "hub", "10.1.2.3", "localhost", "127.0.0.1")
ADDRESSES = """[
 {"ifname": "eth0", "addr_info": [
   {"local": "10.1.2.3"}, {"local": "2001:db8::7"},
   {"local": "2001:db8::8888", "temporary": true}, {}]},
 {"ifname": "docker0", "addr_info": [{"local": "172.17.0.1"}]}
]"""


def kept(authority: Authority) -> dict[str, bytes]:
    return asdict(authority)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority({}, NAMES, NAMES[:1], NOW)


def test_what_is_good_stays(authority):
    assert make_authority(kept(authority), NAMES, NAMES[:1], NOW) == authority


def test_what_is_from_the_future_is_made_anew(authority):
    wrong = NOW + timedelta(days=1500)
    early = kept(make_authority({}, NAMES, NAMES[:1], wrong))
    result = make_authority(early, NAMES, NAMES[:1], NOW)
    assert read_details(result.certificate).is_valid(NOW) and read_details(result.hub).is_valid(NOW)
    hub = kept(make_authority(kept(authority), NAMES, NAMES[:1], NOW + timedelta(days=300)))
    result = make_authority(hub, NAMES, NAMES[:1], NOW)
    assert result.certificate == authority.certificate and read_details(result.hub).is_valid(NOW)


def test_hub_is_certified_for_all_its_names_for_a_year_at_most(authority):
    details = read_details(authority.hub)
    assert set(details.names) == set(NAMES)
    assert details.not_after - NOW <= timedelta(days=365)
    assert not details.is_self_signed


def test_certificate_is_renewed_under_the_same_authority_with_a_third_of_its_life_left(authority):
    before = NOW + HUB_LIFE * 0.6
    assert make_authority(kept(authority), NAMES, NAMES[:1], before) == authority
    after = NOW + HUB_LIFE * 0.7
    renewed = make_authority(kept(authority), NAMES, NAMES[:1], after)
    assert renewed.certificate == authority.certificate
    assert renewed.hub != authority.hub and renewed.hub_key != authority.hub_key
    assert read_details(renewed.hub).days_left(after) > 360


def test_new_address_in_the_lan_is_certified_under_the_same_authority(authority):
    names = (*NAMES, "192.168.7.7", "hub.local")
    renewed = make_authority(kept(authority), names, NAMES[:1], NOW)
    assert renewed.certificate == authority.certificate
    assert set(read_details(renewed.hub).names) == set(names)


def test_public_address_that_changes_is_left_out_as_it_would_take_a_new_authority(authority):
    same = make_authority(kept(authority), (*NAMES, "203.0.113.9"), NAMES[:1], NOW)
    assert same == authority


def test_configured_name_that_the_authority_may_not_vouch_for_makes_a_new_one(authority):
    names = ("lab.example.com", *NAMES)
    result = make_authority(kept(authority), names, names[:1], NOW)
    assert result.certificate != authority.certificate
    assert "lab.example.com" in read_details(result.hub).names


@pytest.mark.parametrize("name", ["certificate", "key", "hub", "hub_key"])
@pytest.mark.parametrize("content", [None, b"", b"hello", issue("other").key_pem()])
def test_damaged_files_are_made_anew(authority, name, content):
    result = make_authority({**kept(authority), name: content}, NAMES, NAMES[:1], NOW)
    assert (result.certificate == authority.certificate) == (name.startswith("hub"))
    assert result.hub != authority.hub


def test_authority_is_constrained_and_can_make_no_other_authorities(authority):
    certificate = parse_chain(authority.certificate)[0]
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert basic.critical and basic.value.ca and basic.value.path_length == 0
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.value.key_cert_sign and not usage.value.digital_signature
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical


def speak_tls(authority: Authority, chain: bytes, key: bytes, name: str, tmp_path: Path) -> str:
    """Connect once to a server with this pair, as a client that trusts the authority."""
    (tmp_path / "pair.pem").write_bytes(key + chain)
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(tmp_path / "pair.pem")
    trusting = ssl.create_default_context(cadata=authority.certificate.decode())
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            serving.wrap_socket(ours, server_side=True).close()
        except (ssl.SSLError, OSError):
            ours.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with trusting.wrap_socket(theirs, server_hostname=name) as connection:
            return str(connection.version())
    finally:
        theirs.close()
        thread.join()


@pytest.mark.parametrize("name", NAMES)
def test_client_that_trusts_the_authority_trusts_the_hub(name, tmp_path):
    result = make_authority({}, NAMES, NAMES[:1], get_utc_time())
    assert speak_tls(result, result.hub, result.hub_key, name, tmp_path) == "TLSv1.3"


def test_hub_that_is_an_address_only_is_trusted_too(tmp_path):
    result = make_authority({}, ["10.1.2.3"], [], get_utc_time())
    assert speak_tls(result, result.hub, result.hub_key, "10.1.2.3", tmp_path) == "TLSv1.3"


@pytest.mark.parametrize("name", ["bank.example.com", "198.51.100.1"])
def test_stolen_authority_cannot_vouch_for_others(name, tmp_path):
    result = make_authority({}, NAMES, NAMES[:1], get_utc_time())
    forged = issue("forged", [name])
    signer = load_pem_private_key(result.key, password=None)
    time = get_utc_time()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named("forged"))
        .issuer_name(parse_chain(result.certificate)[0].subject)
        .public_key(forged.key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(time - timedelta(hours=1))
        .not_valid_after(time + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([alternative(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    forged.certificate = certificate
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree violation"):
        speak_tls(result, forged.pem, forged.key_pem(), name, tmp_path)


def test_names_of_a_machine_are_those_that_last():
    host = FakeHost()
    host.answers["hostname --fqdn"] = Result(0, "tljh.corp.example\n")
    host.answers["hostname"] = Result(0, "tljh\n")
    host.answers["ip -json"] = Result(0, ADDRESSES)
    assert find_machine_names(host, ["hub.lan"]) == (
        "hub.lan",
        "tljh",
        "tljh.corp.example",
        "tljh.local",
        "10.1.2.3",
        "2001:db8::7",
        "localhost",
        "127.0.0.1",
        "::1",
    )


def test_machine_that_tells_nothing_is_still_certified_for_loopback():
    assert find_machine_names(FakeHost(), []) == ("localhost", "127.0.0.1", "::1")
