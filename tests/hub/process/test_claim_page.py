"""Claims: valid for a limited time, for one name and one token."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tljh.users.claims import LIFETIME, claim_file, make_claim, read_claim

NOW = datetime(2026, 11, 21, tzinfo=timezone.utc)


def test_a_claim_is_good_until_it_expires_and_for_its_token_only():
    claim = make_claim("ada", NOW)
    assert claim.allows(claim.token, NOW)
    assert not claim.allows(claim.token + "x", NOW)
    assert not claim.allows("", NOW)
    assert not claim.allows(claim.token, NOW + LIFETIME)
    assert claim.allows(claim.token, NOW + LIFETIME - timedelta(seconds=1))


def test_a_claim_survives_its_file():
    claim = make_claim("ada", NOW)
    assert read_claim(claim.as_bytes()) == claim


def test_what_is_not_a_claim_is_none():
    for data in (b"", b"{}", b"[]", b"\xff", b'{"login": "a", "token": 1}'):
        assert read_claim(data) is None


@given(st.text(min_size=1, max_size=40))
def test_no_login_name_leads_out_of_the_directory_of_claims(login):
    directory = Path("/opt/tljh/state/claims")
    assert claim_file(directory, login).parent == directory
