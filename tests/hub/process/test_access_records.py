"""Who owns a name: admin rights need a claim, and a change that is rolled back leaves nobody in."""

from __future__ import annotations

import pytest

from tests.hub.process.running import Browser, RunningHub, running_hub
from tljh.host.password_store import hash_password, read_logins, store_hash
from tljh.users.claims import claim_file, make_claim
from tljh.users.declared_access import DeclaredAccess
from tljh.users.effective_lists import read_effective

FIRST_USE = "users: {allowed: [alice], admin: [boss]}\n"
NATIVE = "auth: {type: native}\nusers: {allowed: [alice], admin: [boss]}\n"
ROLE = """
c.JupyterHub.load_roles.append(
    {"name": "helper", "scopes": ["admin:users", "servers"], "users": ["helga"]}
)
c.JupyterHub.load_groups = {"helpers": ["hanna"]}
c.JupyterHub.load_roles.append(
    {"name": "helpers", "scopes": ["admin-ui"], "groups": ["helpers"]}
)
"""


@pytest.fixture
def hub(tmp_path):
    with running_hub(tmp_path, FIRST_USE) as hub:
        yield hub


def keep(hub: RunningHub, **lists: list[str]) -> None:
    """Write the ledger of a change that was kept."""
    declared = DeclaredAccess(**{name: frozenset(names) for name, names in lists.items()})
    hub.paths.ledger.write_bytes(declared.as_bytes())


def claimed(hub: RunningHub, login: str, password: str) -> bool:
    claim = make_claim(login)
    path = claim_file(hub.paths.claims_dir, login)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(claim.as_bytes())
    link = claim.path("/").removeprefix("/hub")
    fields = {"name": login, "token": claim.token, "password": password, "again": password}
    assert Browser(hub).post("/claim", page=link, **fields).status_code == 302
    return Browser(hub).login(login, password).status_code == 302


def test_an_admin_made_on_the_admin_page_cannot_be_taken_by_the_first_login(hub):
    added = hub.api("POST", "users", json={"usernames": ["gina"], "admin": True})
    assert added.status_code == 201
    answer = Browser(hub).login("gina", "correct horse")
    assert answer.status_code == 403 and "claim link" in answer.text
    assert claimed(hub, "gina", "her own secret")


def test_a_user_who_becomes_an_admin_before_the_first_login_needs_a_claim(hub):
    hub.api("PATCH", "users/alice", json={"admin": True})
    assert Browser(hub).login("alice", "correct horse").status_code == 403


@pytest.mark.parametrize("login", ["helga", "hanna"])
def test_rights_that_come_by_a_role_need_a_claim_too(tmp_path, login):
    with running_hub(tmp_path, FIRST_USE.replace("alice", login), ROLE) as hub:
        assert Browser(hub).login(login, "correct horse").status_code == 403
        assert claimed(hub, login, "her own secret")


def test_an_admin_of_a_list_that_is_gone_again_cannot_be_taken(hub):
    hub.restart(FIRST_USE + "auth: {FirstUseAuthenticator: {admin_users: [boss, frank]}}\n")
    hub.restart(FIRST_USE)
    assert Browser(hub).login("frank", "correct horse").status_code == 403


def test_a_name_whose_password_was_lost_is_not_for_the_first_who_comes(hub):
    alice = Browser(hub)
    alice.login("alice", "correct horse")
    assert alice.name == "alice"
    store_hash(hub.paths.passwords, "alice", None)
    assert Browser(hub).login("alice", "another horse").status_code == 403


def test_users_of_a_change_that_was_rolled_back_are_out(hub):
    keep(hub, allowed=["alice"], admins=["boss"])
    hub.restart("users: {allowed: [alice, judy], admin: [boss, jack]}\n")
    assert Browser(hub).login("judy", "correct horse").status_code == 302
    hub.restart(FIRST_USE)
    assert Browser(hub).login("judy", "correct horse").status_code == 403
    assert Browser(hub).login("jack", "correct horse").status_code == 403
    assert {user["name"] for user in hub.api("GET", "users").json()} == {"alice", "boss"}
    assert "judy" not in read_logins(hub.paths.passwords)


def test_a_user_who_was_there_is_no_admin_by_a_change_that_was_rolled_back(hub):
    keep(hub, allowed=["alice"], admins=["boss"])
    assert Browser(hub).login("alice", "correct horse").status_code == 302
    hub.restart("users: {allowed: [], admin: [boss, alice]}\n")
    assert hub.api("GET", "users/alice").json()["admin"]
    hub.restart(FIRST_USE)
    assert not hub.api("GET", "users/alice").json()["admin"]
    assert Browser(hub).login("alice", "correct horse").status_code == 302


def test_users_of_a_rolled_back_change_are_out_also_when_its_hub_was_started_twice(hub):
    keep(hub, allowed=["alice"], admins=["boss"])
    refused = "users: {allowed: [alice, judy], admin: [boss]}\n"
    hub.restart(refused)
    assert Browser(hub).login("judy", "correct horse").status_code == 302
    hub.restart(refused)
    hub.restart(FIRST_USE)
    assert Browser(hub).login("judy", "correct horse").status_code == 403


NAMES_OTHERS = """
c.JupyterHub.load_groups = {"helpers": {"users": ["judy", "alice"]}}
c.JupyterHub.load_roles.append({"name": "graders", "scopes": ["list:users"], "users": ["jack"]})
c.JupyterHub.load_roles.append({"name": "admin", "users": ["boss", "alice"]})
"""


def test_users_in_groups_and_roles_of_a_change_that_was_rolled_back_are_out(hub):
    keep(hub, allowed=["alice"], admins=["boss"])
    assert Browser(hub).login("alice", "correct horse").status_code == 302
    hub.restart(FIRST_USE, NAMES_OTHERS)
    alice = hub.api("GET", "users/alice").json()
    assert (alice["admin"], alice["groups"]) == (True, ["helpers"])
    hub.restart(FIRST_USE)
    for login in ("judy", "jack"):
        assert Browser(hub).login(login, "correct horse").status_code == 403
    assert {user["name"] for user in hub.api("GET", "users").json()} == {"alice", "boss"}
    alice = hub.api("GET", "users/alice").json()
    assert (alice["admin"], alice["groups"]) == (False, [])
    assert hub.api("GET", "groups").json() == []


def test_users_in_groups_of_a_change_that_was_kept_stay_when_it_is_taken_back(hub):
    hub.restart(FIRST_USE, NAMES_OTHERS)
    keep(hub, allowed=["alice"], admins=["boss"], named=["alice", "boss", "jack", "judy"])
    hub.restart(FIRST_USE)
    names = {user["name"] for user in hub.api("GET", "users").json()}
    assert names == {"alice", "boss", "jack", "judy"}


def test_a_record_that_is_older_than_the_change_stays_when_it_is_rolled_back(hub):
    keep(hub, allowed=["alice"], admins=["boss"])
    hub.api("POST", "users/carol")
    assert Browser(hub).login("carol", "correct horse").status_code == 302
    hub.restart("users: {allowed: [alice, carol], admin: [boss]}\n")
    hub.restart(FIRST_USE)
    assert Browser(hub).login("carol", "correct horse").status_code == 302


def test_the_hub_writes_the_lists_that_it_loaded_wherever_they_came_from(hub):
    hub.restart(FIRST_USE, 'c.Authenticator.admin_users.add("Frank")')
    lists = read_effective(hub.paths.hub_lists.read_bytes())
    assert lists is not None
    assert lists.admins == {"boss", "frank"}
    assert lists.allowed == {"alice"}


@pytest.fixture
def native(tmp_path):
    """Start a hub that had first use, and changes to native."""
    with running_hub(tmp_path, FIRST_USE) as hub:
        assert Browser(hub).login("alice", "correct horse").status_code == 302
        store_hash(hub.paths.passwords, "stranger", hash_password("of an old list"))
        hub.restart(NATIVE)
        yield hub


def test_passwords_move_from_first_use_to_native(native):
    assert Browser(native).login("alice", "correct horse").status_code == 302
    assert Browser(native).login("stranger", "of an old list").status_code == 403


def test_a_stranger_cannot_sign_up_as_somebody_who_has_a_password(native):
    Browser(native).post("/signup", username="alice", signup_password="another horse 7",
                         signup_password_confirmation="another horse 7")  # fmt: skip
    assert Browser(native).login("alice", "another horse 7").status_code == 403


def test_the_setting_of_the_library_that_imports_does_no_harm(tmp_path):
    with running_hub(tmp_path, FIRST_USE) as hub:
        assert Browser(hub).login("alice", "correct horse").status_code == 302
        hub.restart(NATIVE + "NativeAuthenticator: {import_from_firstuse: true}\n")
        assert Browser(hub).login("alice", "correct horse").status_code == 302


@pytest.mark.parametrize("login", ["gina", "ada"])
def test_native_takes_no_sign_up_for_a_name_with_admin_rights(native, login):
    native.api("POST", f"users/{login}")
    native.api("PATCH", f"users/{login}", json={"admin": True})
    Browser(native).post("/signup", username=login, signup_password="another horse 7",
                         signup_password_confirmation="another horse 7")  # fmt: skip
    assert Browser(native).login(login, "another horse 7").status_code == 403
    assert claimed(native, login, "her own secret 7")


# Stands for an account of the machine, which a test cannot make.
HAS_ACCOUNT = """
from tljh.hub.process import native_authenticator
native_authenticator.has_account = lambda login: login == "carla"
"""


def signed_up(hub: RunningHub, login: str, password: str) -> None:
    fields = {"signup_password": password, "signup_password_confirmation": password}
    Browser(hub).post("/signup", username=login, **fields)


def test_a_waiting_sign_up_gets_no_account_of_another_user_by_a_list(tmp_path):
    with running_hub(tmp_path, NATIVE) as hub:
        for login in ("carla", "dora"):
            signed_up(hub, login, "a strangers 7")
        listed = NATIVE.replace("alice", "alice, carla, dora")
        hub.restart(listed, HAS_ACCOUNT)
        assert Browser(hub).login("dora", "a strangers 7").status_code == 302
        refused = Browser(hub).login("carla", "a strangers 7")
        assert refused.status_code == 403 and "a home on this machine" in refused.text
        assert claimed(hub, "carla", "her own secret 7")
        assert Browser(hub).login("carla", "a strangers 7").status_code == 403


def test_a_listed_user_who_got_an_account_by_a_server_goes_on_logging_in(tmp_path):
    with running_hub(tmp_path, NATIVE.replace("alice", "alice, carla")) as hub:
        signed_up(hub, "carla", "her own secret 7")
        carla = Browser(hub)
        carla.login("carla", "her own secret 7")
        assert carla.name == "carla"
        hub.restart(hub.text, HAS_ACCOUNT)
        assert Browser(hub).login("carla", "her own secret 7").status_code == 302


def test_sign_ups_from_before_another_login_do_not_wait_for_it_to_end(tmp_path):
    with running_hub(tmp_path, NATIVE) as hub:
        signed_up(hub, "carla", "a strangers 7")
        # She logs in elsewhere meanwhile, which makes her account.
        hub.restart(FIRST_USE.replace("alice", "alice, carla"))
        assert Browser(hub).login("carla", "her own secret").status_code == 302
        store_hash(hub.paths.passwords, "carla", None)
        hub.restart(NATIVE.replace("alice", "alice, carla"), HAS_ACCOUNT)
        assert Browser(hub).login("carla", "a strangers 7").status_code == 403
        assert claimed(hub, "carla", "her own secret 7")
