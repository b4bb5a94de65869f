"""First use, logged in to for real."""

from __future__ import annotations

from urllib.parse import urljoin

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.host.password_store import hash_password, store_hash
from tljh.users.claims import claim_file, make_claim

LISTED = "users: {allowed: [alice, anna, albert, astrid, arno], admin: [boss]}\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Start one hub for all tests: each uses other names than the rest."""
    with running_hub(tmp_path_factory.mktemp("hub"), LISTED) as hub:
        yield hub


def test_the_first_password_of_a_listed_name_is_kept_and_no_other_works(hub):
    assert Browser(hub).login("alice", "correct horse").status_code == 302
    assert Browser(hub).login("alice", "wrong horse!").status_code == 403
    alice = Browser(hub)
    alice.login("alice", "correct horse")
    assert alice.name == "alice"


def test_a_short_first_password_is_refused_with_the_reason(hub):
    answer = Browser(hub).login("anna", "short")
    assert answer.status_code == 403
    assert "at least 8 characters" in answer.text


def test_a_password_of_more_than_72_bytes_works(hub):
    long = "ü" * 60
    assert Browser(hub).login("albert", long).status_code == 302
    assert Browser(hub).login("albert", long).status_code == 302


def test_a_user_who_is_not_listed_may_log_in_while_added_on_the_admin_page(hub):
    assert Browser(hub).login("carol", "correct horse").status_code == 403
    hub.api("POST", "users/carol")
    assert Browser(hub).login("carol", "correct horse").status_code == 302
    hub.api("DELETE", "users/carol")
    assert Browser(hub).login("carol", "correct horse").status_code == 403


def test_an_admin_sets_a_password_with_the_claim_once(hub):
    claim = make_claim("boss")
    path = claim_file(hub.paths.claims_dir, "boss")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    boss = Browser(hub)
    assert "claim link" in boss.login("boss", "correct horse").text
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "boss", "token": claim.token, "password": "my own secret"}
    assert boss.post("/claim", page=link, again="different", **fields).status_code == 200
    blank = fields | {"password": " " * 9}
    assert "spaces only" in boss.post("/claim", page=link, again=" " * 9, **blank).text
    assert "You are an admin" in boss.get(link).text
    answer = boss.post("/claim", page=link, again="my own secret", **fields)
    assert answer.status_code == 302
    login_page = boss.session.get(urljoin(hub.url, answer.headers["Location"])).text
    assert "Your password is set" in login_page and 'value="boss"' in login_page
    assert not path.exists()
    used = boss.get(link)
    assert used.status_code == 403
    assert "used already" in used.text and "/hub/login?username=boss" in used.text
    # Without the link, the page does not say which names have a password.
    guessed = boss.get("/claim?name=boss&token=guessed").text
    assert "used already" not in guessed and "/hub/login" in guessed
    assert boss.login("boss", "my own secret").status_code == 302
    assert boss.post("/claim", page="/login", again="my own secret", **fields).status_code == 403


def test_a_name_that_was_given_a_claim_link_is_not_the_first_visitors(hub, restart_with):
    restart_with("users: {allowed: [aylin], admin: [boss]}\n")
    claim = make_claim("aylin")
    path = claim_file(hub.paths.claims_dir, "aylin")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    assert Browser(hub).login("aylin", "a stranger's").status_code == 403
    link = claim.path("/").removeprefix("/hub")
    assert "You are an admin" not in Browser(hub).get(link).text
    fields = {"name": "aylin", "token": claim.token, "password": "my own secret"}
    Browser(hub).post("/claim", page=link, again="my own secret", **fields)
    assert Browser(hub).login("aylin", "my own secret").status_code == 302


def test_a_user_changes_the_password(hub):
    astrid = Browser(hub)
    astrid.login("astrid", "correct horse")
    assert 'href="/hub/auth/change-password"' in astrid.get("/home").text
    secrets = {"old_password": "correct horse", "password": "another horse"}
    answer = astrid.post("/auth/change-password", **secrets)
    assert "changed successfully" in answer.text
    assert Browser(hub).login("astrid", "another horse").status_code == 302


def test_a_password_of_an_older_installation_works_as_it_is(hub):
    # Older releases of bcrypt cut passwords at 72 bytes without an error.
    store_hash(hub.paths.state_dir / "passwords.dbm", "arno", hash_password("x" * 72))
    assert Browser(hub).login("arno", "x" * 100).status_code == 302


def test_cookies_are_for_https_alone_where_the_site_is_and_never_for_scripts(hub):
    cookies = {}
    for is_https in (False, True):
        answer = Browser(hub, is_https=is_https).login("alice", "correct horse")
        (cookies[is_https],) = [
            value
            for value in answer.raw.headers.getlist("Set-Cookie")
            if value.startswith("jupyterhub-hub-login=")
        ]
        assert "HttpOnly" in cookies[is_https]
    assert "Secure" in cookies[True]
    assert "Secure" not in cookies[False]


def test_lists_that_change_while_the_hub_is_down_hold_from_its_next_start(hub, restart_with):
    hub.api("POST", "users/dora")
    restart_with("users: {banned: [alice], admin: [boss]}")
    # dora was added on the admin page and is not banned. The stranger was never added, and an
    # empty list does not allow everyone.
    assert Browser(hub).login("dora", "correct horse").status_code == 302
    assert Browser(hub).login("alice", "correct horse").status_code == 403
    assert Browser(hub).login("stranger", "correct horse").status_code == 403


def test_allow_all_lets_anyone_choose_a_free_name_but_not_an_admins(hub, restart_with):
    restart_with("auth: {allow_all: true}\nusers: {admin: [boss, chief]}\n")
    assert Browser(hub).login("newcomer", "correct horse").status_code == 302
    assert "claim link" in Browser(hub).login("chief", "correct horse").text


def test_an_admins_name_needs_a_claim_if_a_drop_in_chooses_the_librarys_class(tmp_path):
    library = "c.JupyterHub.authenticator_class = 'firstuseauthenticator.FirstUseAuthenticator'\n"
    with running_hub(
        tmp_path, LISTED.replace("users:", "auth: {type: pam}\nusers:"), library
    ) as hub:
        stranger = Browser(hub)
        assert stranger.login("boss", "a stranger's word").status_code == 403
        assert stranger.name is None
        assert Browser(hub).login("alice", "correct horse").status_code == 302
