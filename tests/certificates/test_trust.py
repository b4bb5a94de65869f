from __future__ import annotations

import pytest

from tests.certificates.authority import NOW
from tljh.certificates.authority_trust import build_trust_advice
from tljh.certificates.local_authority import make_authority
from tljh.settings.load import load


@pytest.mark.parametrize(
    ("text", "names", "url"),
    [
        ("", ["tljh", "10.0.0.1", "127.0.0.1"], "http://10.0.0.1/hub/ca.crt"),
        ("", ["tljh", "localhost", "127.0.0.1"], "http://tljh/hub/ca.crt"),
        ("https: {domains: [hub.lan]}\n", ["hub.lan", "10.0.0.1"], "http://hub.lan/hub/ca.crt"),
        ("http: {port: 8080}\n", ["10.0.0.1"], "http://10.0.0.1:8080/hub/ca.crt"),
        ("base_url: /jupyter/\n", ["fd00::1"], "http://[fd00::1]/jupyter/hub/ca.crt"),
    ],
)
def test_address_of_the_certificate_can_be_typed(text, names, url):
    trust = build_trust_advice(load(text.encode()), make_authority({}, names, [], NOW))
    assert trust.url == url
    assert trust.url in trust.as_text()


def test_fingerprint_is_told_as_browsers_show_it():
    trust = build_trust_advice(load(b""), make_authority({}, ["hub.lan"], [], NOW))
    assert len(trust.fingerprint.split(":")) == 32
    assert trust.fingerprint in trust.as_text()
