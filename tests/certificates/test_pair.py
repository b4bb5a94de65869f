from __future__ import annotations

import pytest

from tests.certificates.authority import NOW, issue
from tljh.certificates.x509 import UnreadableCertificate, covers, read_details

ROOT = issue("Root", is_authority=True, to_day=900)
MIDDLE = issue("Middle", by=ROOT, is_authority=True, to_day=400)
HUB = issue("hub", ["hub.example.org", "192.0.2.7"], by=MIDDLE)
CHAIN = HUB.pem + MIDDLE.pem


def test_details_say_what_people_want_to_know():
    details = read_details(CHAIN)
    assert details.names == ("hub.example.org", "192.0.2.7")
    assert details.issuer == "Middle"
    assert details.days_left(NOW) == pytest.approx(80)
    assert not details.is_self_signed
    with pytest.raises(UnreadableCertificate):
        read_details(b"nothing")


@pytest.mark.parametrize(
    ("name", "offered", "does"),
    [
        ("Hub.Example.org.", ["hub.example.org"], True),
        ("a.example.org", ["*.example.org"], True),
        ("a.b.example.org", ["*.example.org"], False),
        ("example.org", ["*.example.org"], False),
        ("192.0.2.7", ["192.0.2.7"], True),
        ("2001:DB8::0:1", ["2001:db8::1"], True),
        ("192.0.2.8", ["*.0.2.8"], False),
    ],
)
def test_names_fit_as_browsers_see_it(name, offered, does):
    assert covers(name, offered) is does
