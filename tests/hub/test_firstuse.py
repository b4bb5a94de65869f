"""First use, logged in to for real."""

from __future__ import annotations

import pytest
from tests.hub.running import Browser, running_hub

from tljh.host.passwords import hash_password, store_hash, stored_hash
from tljh.hub.claims import claim_file, new_claim

LISTED = "users: {allowed: [alice], admin: [boss]}\n"


@pytest.fixture
def hub(tmp_path):
    with running_hub(tmp_path, LISTED) as hub:
        yield hub


def test_the_first_password_of_a_listed_name_is_kept_and_no_other_works(hub):
    assert Browser(hub).login("alice", "correct horse").status_code == 302
    assert Browser(hub).login("alice", "wrong horse!").status_code == 403
    somebody = Browser(hub)
    somebody.login("alice", "correct horse")
    assert somebody.name == "alice"


def test_a_short_first_password_is_refused_with_the_reason(hub):
    answer = Browser(hub).login("alice", "short")
    assert answer.status_code == 403
    assert "at least 8 characters" in answer.text


def test_a_password_of_more_than_72_bytes_works(hub):
    long = "ü" * 60
    assert Browser(hub).login("alice", long).status_code == 302
    assert Browser(hub).login("alice", long).status_code == 302


def test_who_is_not_listed_is_out_and_in_once_the_admin_page_added_them(hub):
    assert Browser(hub).login("carol", "correct horse").status_code == 403
    hub.api("POST", "users/carol")
    assert Browser(hub).login("carol", "correct horse").status_code == 302
    hub.api("DELETE", "users/carol")
    assert Browser(hub).login("carol", "correct horse").status_code == 403


def test_people_added_on_the_admin_page_stay_through_a_restart(hub):
    hub.api("POST", "users/carol")
    hub.restart(LISTED)
    assert Browser(hub).login("carol", "correct horse").status_code == 302


def test_an_empty_list_admits_nobody_who_was_not_added(hub):
    hub.restart("users: {admin: [boss]}")
    assert Browser(hub).login("stranger", "correct horse").status_code == 403


def test_allow_all_lets_anyone_choose_a_free_name_but_no_administrators(hub):
    hub.restart("auth: {allow_all: true}\n" + LISTED)
    assert Browser(hub).login("stranger", "correct horse").status_code == 302
    answer = Browser(hub).login("boss", "correct horse")
    assert answer.status_code == 403
    assert "claim link" in answer.text


def test_a_banned_name_is_out(hub):
    hub.restart("users: {allowed: [alice], banned: [alice]}")
    assert Browser(hub).login("alice", "correct horse").status_code == 403


def test_an_administrator_sets_a_password_by_the_claim_once(hub):
    claim = new_claim("boss")
    path = claim_file(hub.paths.state_dir, "boss")
    path.parent.mkdir()
    path.write_bytes(claim.as_bytes())
    boss = Browser(hub)
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "boss", "token": claim.token, "password": "my own secret"}
    assert boss.post("/claim", page=link, again="different", **fields).status_code == 200
    assert boss.post("/claim", page=link, again="my own secret", **fields).status_code == 302
    assert not path.exists()
    assert boss.login("boss", "my own secret").status_code == 302
    assert boss.post("/claim", page="/login", again="my own secret", **fields).status_code == 403


def test_somebody_changes_their_password(hub):
    alice = Browser(hub)
    alice.login("alice", "correct horse")
    answer = alice.post("/auth/change-password", password="another horse")
    assert "changed successfully" in answer.text
    assert Browser(hub).login("alice", "another horse").status_code == 302


def test_a_password_of_an_older_installation_works_as_it_is(hub):
    # Older bcrypt cut passwords at 72 bytes without a word.
    store_hash(hub.paths.state_dir / "passwords.dbm", "alice", hash_password("x" * 72))
    assert Browser(hub).login("alice", "x" * 100).status_code == 302
    assert stored_hash(hub.paths.state_dir / "passwords.dbm", "alice")
