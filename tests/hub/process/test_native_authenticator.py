"""NativeAuthenticator under JupyterHub 6, logged in to for real."""

from __future__ import annotations

import time

import pytest

from tests.hub.process.running import Browser, running_hub
from tljh.host.password_store import hash_password
from tljh.settings.load import load
from tljh.users.claims import claim_file, new_claim
from tljh.users.declared_access import LEDGER, DeclaredAccess, declared_in
from tljh.users.facts import logins_with_password

PASSWORD = "a fine password"
TEXT = "auth: {type: native}\nusers: {allowed: [lena, lars], admin: [boss]}\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with running_hub(tmp_path_factory.mktemp("hub"), TEXT) as hub:
        yield hub


def sign_up(hub, name, password=PASSWORD):
    fields = {"signup_password": password, "signup_password_confirmation": password}
    return Browser(hub).post("/signup", username=name, **fields)


@pytest.fixture(scope="module")
def boss(hub):
    claim = new_claim("boss")
    path = claim_file(hub.paths.state_dir, "boss")
    path.parent.mkdir()
    path.write_bytes(claim.as_bytes())
    browser = Browser(hub)
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "boss", "token": claim.token, "password": PASSWORD, "again": PASSWORD}
    assert browser.post("/claim", page=link, **fields).status_code == 302
    assert browser.login("boss", PASSWORD).status_code == 302
    return browser


def test_who_is_listed_signs_up_and_logs_in(hub):
    sign_up(hub, "lena")
    assert Browser(hub).login("lena", "not this one").status_code == 403
    lena = Browser(hub)
    assert lena.login("lena", PASSWORD).status_code == 302
    assert lena.name == "lena"


def test_who_is_not_listed_waits_for_an_administrator(hub, boss):
    sign_up(hub, "nora")
    answer = Browser(hub).login("nora", PASSWORD)
    assert answer.status_code == 403
    assert "has not been authorized by an admin yet" in answer.text
    assert "nora" in boss.get("/authorize").text
    boss.get("/authorize/nora")
    assert Browser(hub).login("nora", PASSWORD).status_code == 302
    boss.get("/authorize/nora")
    assert Browser(hub).login("nora", PASSWORD).status_code == 403


def test_a_link_on_another_site_authorizes_nobody(hub, boss):
    sign_up(hub, "nils")
    answer = boss.get("/authorize/nils", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert Browser(hub).login("nils", PASSWORD).status_code == 403


def test_authorizing_is_for_administrators(hub):
    sign_up(hub, "lars")
    lars = Browser(hub)
    lars.login("lars", PASSWORD)
    assert lars.get("/authorize").status_code == 403
    assert lars.get("/authorize/nils").status_code == 403
    assert (
        lars.post("/change-password/boss", page="/home", new_password=PASSWORD).status_code == 403
    )


def test_sign_ups_that_are_refused_cost_no_hash(hub, boss):
    began_s = time.monotonic()
    hash_password(PASSWORD)
    hash_s = time.monotonic() - began_s
    for name, password in (("boss", PASSWORD), ("-bad", PASSWORD), ("nobody", "short")):
        took_s = []
        for _ in range(3):
            began_s = time.monotonic()
            sign_up(hub, name, password)
            took_s.append(time.monotonic() - began_s)
        assert min(took_s) < hash_s / 2, name


def test_one_address_signs_up_so_many_and_others_go_on_logging_in(hub):
    text = "auth: {type: native, throttle: {names_per_address: 3}}\nusers: {allowed: [lena, lou]}\n"
    hub.restart(text)
    assert [sign_up(hub, f"bot{number}").status_code for number in range(4)] == [200] * 3 + [429]
    # Who is listed may sign up, and who logs in is not held up by it.
    assert sign_up(hub, "lou").status_code == 200
    assert Browser(hub).login("lou", PASSWORD).status_code == 302
    hub.restart(TEXT)


def test_a_name_that_somebody_waits_with_is_not_theirs_when_it_becomes_an_administrators(hub):
    hub.restart(TEXT.replace("lars", "lotte"))
    sign_up(hub, "carla", "the password of a stranger")
    sign_up(hub, "lotte")
    state = hub.paths.state_dir
    (state / LEDGER).write_bytes(DeclaredAccess(allowed=frozenset({"lotte"})).as_bytes())
    text = "auth: {type: native}\nusers: {admin: [boss, carla, lotte]}\n"
    config = load(text.encode())
    # lotte was listed when she signed up, so hers is hers; carla gets a claim.
    assert logins_with_password(config, hub.paths) >= {"lotte"}
    assert "carla" not in logins_with_password(config, hub.paths)
    hub.restart(text)
    (state / LEDGER).write_bytes(declared_in(config).as_bytes())
    stranger = Browser(hub)
    assert stranger.login("carla", "the password of a stranger").status_code == 403
    assert Browser(hub).login("lotte", PASSWORD).status_code == 302
    claim = new_claim("carla")
    claim_file(state, "carla").write_bytes(claim.as_bytes())
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": "carla", "token": claim.token, "password": PASSWORD, "again": PASSWORD}
    assert Browser(hub).post("/claim", page=link, **fields).status_code == 302
    # And it stays so.
    hub.restart(text)
    assert Browser(hub).login("carla", PASSWORD).status_code == 302
    assert Browser(hub).login("lotte", PASSWORD).status_code == 302
    assert logins_with_password(config, hub.paths) >= {"carla", "lotte"}
    hub.restart(TEXT)


def test_an_administrators_name_is_not_to_be_signed_up_for(hub, boss):
    for name in ("boss", "Boss"):
        sign_up(hub, name, "the password of a stranger")
        assert Browser(hub).login(name, "the password of a stranger").status_code == 403


@pytest.mark.parametrize("bad", ["short", "password1"])
def test_short_and_common_passwords_are_refused(hub, bad):
    assert "at least 8 characters and is not too common" in sign_up(hub, "noah", bad).text
    assert Browser(hub).login("noah", bad).status_code == 403


def test_a_password_is_changed_by_its_owner_and_by_an_administrator(hub, boss):
    sign_up(hub, "lena")
    lena = Browser(hub)
    lena.login("lena", PASSWORD)
    change = {"new_password": "the second one", "new_password_confirmation": "the second one"}
    wrong = lena.post("/change-password", old_password="not the password", **change).text
    assert "current password was incorrect" in wrong
    other = {**change, "new_password_confirmation": "another one"}
    differ = lena.post("/change-password", old_password=PASSWORD, **other).text
    assert "are not the same" in differ
    weak = {"new_password": "12345678", "new_password_confirmation": "12345678"}
    assert (
        "at least 8 characters" in lena.post("/change-password", old_password=PASSWORD, **weak).text
    )
    assert "successfully" in lena.post("/change-password", old_password=PASSWORD, **change).text
    assert Browser(hub).login("lena", "the second one").status_code == 302
    back = {"new_password": PASSWORD, "new_password_confirmation": PASSWORD}
    assert "successfully" in boss.post("/change-password/lena", **back).text
    assert Browser(hub).login("lena", PASSWORD).status_code == 302


def test_who_is_taken_off_the_list_is_out(hub):
    hub.restart("auth: {type: native}\nusers: {admin: [boss]}\n")
    assert Browser(hub).login("lena", PASSWORD).status_code == 403
    assert Browser(hub).login("boss", PASSWORD).status_code == 302


def test_open_sign_up_needs_no_authorization(hub):
    hub.restart("auth: {type: native, NativeAuthenticator: {open_signup: true}}\n")
    sign_up(hub, "olga")
    assert Browser(hub).login("olga", PASSWORD).status_code == 302
