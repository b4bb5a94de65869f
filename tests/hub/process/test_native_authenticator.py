"""NativeAuthenticator under JupyterHub 6, logged in to for real."""

from __future__ import annotations

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.settings.load import load
from tljh.users.claims import claim_file, make_claim
from tljh.users.declared_access import DeclaredAccess, collect_declared
from tljh.users.facts import find_logins_with_password

PASSWORD = "a fine password"
NAMES = "lars, lena, lilo, lisa, lotte"
TEXT = f"auth: {{type: native}}\nusers: {{allowed: [{NAMES}], admin: [boss]}}\n"
# Writes a letter to a file for each password that is hashed.
COUNT_HASHES = """
import tljh.hub.process.native_authenticator as authenticator
import tljh.hub.process.native_pages as pages
from pathlib import Path

hashed, hash_password = pages.hash_in_thread, authenticator.hash_password

def count():
    with Path("hashes").open("a") as file:
        file.write("x")

async def count_and_hash(password):
    count()
    return await hashed(password)

def count_and_hash_now(password):
    count()
    return hash_password(password)

pages.hash_in_thread, authenticator.hash_password = count_and_hash, count_and_hash_now
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """Start one hub for all tests: each uses other names than the rest."""
    with running_hub(tmp_path_factory.mktemp("hub"), TEXT) as hub:
        yield hub


def sign_up(hub, name, password=PASSWORD):
    fields = {"signup_password": password, "signup_password_confirmation": password}
    return Browser(hub).post("/signup", username=name, **fields)


@pytest.fixture(scope="module")
def boss(hub):
    claim = make_claim("boss")
    path = claim_file(hub.paths.claims_dir, "boss")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    browser = Browser(hub)
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "boss", "token": claim.token, "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/claim", page=link, **fields).status_code == 302
    assert browser.login("boss", PASSWORD).status_code == 302
    return browser


def test_a_listed_user_signs_up_and_logs_in(hub):
    sign_up(hub, "lena")
    assert Browser(hub).login("lena", "not this one").status_code == 403
    lena = Browser(hub)
    assert lena.login("lena", PASSWORD).status_code == 302
    assert lena.name == "lena"


def test_a_user_who_is_not_listed_waits_for_an_admin(hub, boss):
    sign_up(hub, "nora")
    answer = Browser(hub).login("nora", PASSWORD)
    assert answer.status_code == 403
    assert "has not been authorized by an admin yet" in answer.text
    assert "nora" in boss.get("/authorize").text
    boss.post("/authorize/nora", page="/authorize")
    assert Browser(hub).login("nora", PASSWORD).status_code == 302
    boss.post("/authorize/nora", page="/authorize")
    assert Browser(hub).login("nora", PASSWORD).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-origin", "none"])
def test_a_link_authorizes_nobody_and_deletes_nothing(hub, boss, site):
    if site == "cross-site":
        sign_up(hub, "nils")
    for path in ("/authorize/nils", "/discard/nils"):
        assert boss.get(path, headers={"Sec-Fetch-Site": site}).status_code == 405
        assert boss.session.post(hub.url + path).status_code == 403
    assert "nils" in boss.get("/authorize").text
    assert Browser(hub).login("nils", PASSWORD).status_code == 403


def test_authorizing_is_for_admins(hub):
    sign_up(hub, "lars")
    lars = Browser(hub)
    lars.login("lars", PASSWORD)
    assert lars.get("/authorize").status_code == 403
    assert lars.post("/authorize/nils", page="/home").status_code == 403
    assert (
        lars.post("/change-password/boss", page="/home", new_password=PASSWORD).status_code == 403
    )


def test_sign_ups_that_are_refused_cost_no_hash(hub, boss, restart_with):
    restart_with(TEXT, COUNT_HASHES)
    hashes = hub.directory / "hashes"
    for name, password in (("boss", PASSWORD), ("-bad", PASSWORD), ("nobody", "short")):
        sign_up(hub, name, password)
        assert not hashes.exists(), name
    sign_up(hub, "nina")
    assert hashes.read_text() == "x"


def test_one_address_signs_up_so_many_and_others_go_on_logging_in(hub, restart_with):
    text = "auth: {type: native, throttle: {names_per_address: 3}}\nusers: {allowed: [lou]}\n"
    restart_with(text)
    assert [sign_up(hub, f"bot{number}").status_code for number in range(4)] == [200] * 3 + [429]
    # Sign-ups of listed users, and logins, do not count.
    assert sign_up(hub, "lou").status_code == 200
    assert Browser(hub).login("lou", PASSWORD).status_code == 302


@pytest.fixture
def ledger(hub):
    """Return the path of the hub's ledger, which is deleted after the test."""
    path = hub.paths.ledger
    yield path
    path.unlink(missing_ok=True)


def test_a_waiting_sign_up_is_deleted_when_its_name_becomes_an_admins(hub, restart_with, ledger):
    sign_up(hub, "carla", "the password of a stranger")
    sign_up(hub, "lotte")
    ledger.write_bytes(DeclaredAccess(allowed=frozenset({"lotte"})).as_bytes())
    text = "auth: {type: native}\nusers: {admin: [boss, carla, lotte]}\n"
    config = load(text.encode())
    # lotte was listed when she signed up, so her password counts. carla needs a claim.
    assert find_logins_with_password(config, hub.paths) >= {"lotte"}
    assert "carla" not in find_logins_with_password(config, hub.paths)
    restart_with(text)
    ledger.write_bytes(collect_declared(config).as_bytes())
    stranger = Browser(hub)
    assert stranger.login("carla", "the password of a stranger").status_code == 403
    assert Browser(hub).login("lotte", PASSWORD).status_code == 302
    claim = make_claim("carla")
    path = claim_file(hub.paths.claims_dir, "carla")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "carla", "token": claim.token, "password": PASSWORD, "again": PASSWORD}
    assert Browser(hub).post("/claim", page=link, **fields).status_code == 302
    # Another restart, now with both in the ledger, changes nothing.
    restart_with(text)
    assert Browser(hub).login("carla", PASSWORD).status_code == 302
    assert Browser(hub).login("lotte", PASSWORD).status_code == 302
    assert find_logins_with_password(config, hub.paths) >= {"carla", "lotte"}


def test_an_admins_name_cannot_be_signed_up_for(hub, boss):
    for name in ("boss", "Boss"):
        sign_up(hub, name, "the password of a stranger")
        assert Browser(hub).login(name, "the password of a stranger").status_code == 403


@pytest.mark.parametrize("bad", ["short", "password1"])
def test_short_and_common_passwords_are_refused(hub, bad):
    assert "at least 8 characters and is not too common" in sign_up(hub, "noah", bad).text
    assert Browser(hub).login("noah", bad).status_code == 403


def test_a_password_is_changed_by_its_owner_and_by_an_admin(hub, boss):
    sign_up(hub, "lisa")
    lisa = Browser(hub)
    lisa.login("lisa", PASSWORD)
    change = {"new_password": "the second one", "new_password_confirmation": "the second one"}
    wrong = lisa.post("/change-password", old_password="not the password", **change).text
    assert "current password was incorrect" in wrong
    other = {**change, "new_password_confirmation": "another one"}
    differ = lisa.post("/change-password", old_password=PASSWORD, **other).text
    assert "are not the same" in differ
    weak = {"new_password": "12345678", "new_password_confirmation": "12345678"}
    assert (
        "at least 8 characters" in lisa.post("/change-password", old_password=PASSWORD, **weak).text
    )
    assert "successfully" in lisa.post("/change-password", old_password=PASSWORD, **change).text
    assert Browser(hub).login("lisa", "the second one").status_code == 302
    reset = {"new_password": "the third one", "new_password_confirmation": "the third one"}
    assert "successfully" in boss.post("/change-password/lisa", **reset).text
    assert Browser(hub).login("lisa", "the third one").status_code == 302


def test_a_user_who_is_removed_from_the_list_cannot_log_in(hub, boss, restart_with):
    sign_up(hub, "lilo")
    assert Browser(hub).login("lilo", PASSWORD).status_code == 302
    restart_with("auth: {type: native}\nusers: {admin: [boss]}\n")
    assert Browser(hub).login("lilo", PASSWORD).status_code == 403
    assert Browser(hub).login("boss", PASSWORD).status_code == 302


def test_open_sign_up_needs_no_authorization(hub, restart_with):
    restart_with("auth: {type: native, NativeAuthenticator: {open_signup: true}}\n")
    sign_up(hub, "olga")
    assert Browser(hub).login("olga", PASSWORD).status_code == 302
