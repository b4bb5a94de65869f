"""Who should be what, decided from lists alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tljh.host.accounts import ADMINS_GROUP
from tljh.settings.derived import who_is_let_in
from tljh.settings.load import load
from tljh.users.declared_access import (
    Declared,
    HubUser,
    changes,
    declared_in,
    ledger_after,
    read_declared,
)


def declared(allowed="", admins="", banned="", groups=None, locked="") -> Declared:
    return Declared(
        *(frozenset(names.split()) for names in (allowed, admins, banned)),
        groups={name: frozenset(members.split()) for name, members in (groups or {}).items()},
        locked=frozenset(locked.split()),
    )


def test_who_leaves_the_list_is_shut_out():
    found = changes(declared("alice bob"), declared("alice"), [])
    assert found.shut_out == {"bob"}


def test_who_was_the_last_in_the_list_is_shut_out_like_anybody_else():
    assert changes(declared("alice"), declared(), []).shut_out == {"alice"}


def test_a_list_that_was_emptied_admits_nobody_even_where_no_list_admits_everybody():
    for name in ("dummy", "shared-password"):
        for users, is_open in (("", True), ("users: {allowed: []}", False)):
            config = load(f"auth: {{type: {name}}}\n{users}".encode())
            assert who_is_let_in(config)["allow_all"] is is_open


def test_who_was_added_elsewhere_stays_when_the_list_changes():
    hub_users = [HubUser("carol", last_activity="2026-11-01T00:00:00Z")]
    assert changes(declared("alice"), declared("bob"), hub_users).shut_out == {"alice"}


def test_a_former_administrator_stays_a_user_where_users_are_not_listed():
    found = changes(declared(admins="ada bob"), declared(admins="ada"), [])
    assert found.demoted == {"bob"}
    assert found.shut_out == set()


def test_a_former_administrator_who_is_in_no_list_is_shut_out_where_users_are_listed():
    found = changes(declared("alice", "ada bob"), declared("alice", "ada"), [])
    assert found.shut_out == {"bob"}
    assert found.demoted == set()


def test_a_former_administrator_who_is_still_allowed_is_demoted_only():
    found = changes(declared("alice bob", "bob"), declared("alice bob"), [])
    assert (found.demoted, found.shut_out) == ({"bob"}, set())


def test_a_ban_shuts_out_whoever_is_in_a_list_or_not():
    found = changes(declared("alice"), declared("alice", banned="alice mallory"), [])
    assert found.shut_out == {"alice", "mallory"}


def test_a_ban_that_was_carried_out_is_not_carried_out_again():
    before = declared("alice", banned="alice", locked="alice")
    # The hub makes a record for each name in the list of the allowed, each time it starts.
    assert changes(before, declared("alice", banned="alice"), [HubUser("alice")]).shut_out == set()


def test_somebody_banned_who_is_active_all_the_same_is_shut_out_again():
    before = declared(banned="mallory", locked="mallory")
    active = HubUser("mallory", last_activity="2026-11-01T00:00:00Z")
    assert changes(before, declared(banned="mallory"), [active]).shut_out == {"mallory"}


def test_the_end_of_a_ban_unlocks_the_account():
    before = declared(banned="alice", locked="alice")
    assert changes(before, declared("alice"), []).unlocked == {"alice"}
    assert changes(before, declared(), []).unlocked == {"alice"}


def test_a_plan_does_not_say_that_an_account_of_the_machines_own_is_locked():
    found = changes(Declared(allowed=frozenset({"ann"})), Declared(), [])
    assert "account locked" in found.as_lines()[0]
    assert "account" not in found.as_lines(has_own_accounts=False)[0]


def test_who_left_stays_locked_while_others_come_and_go():
    before = declared("bob", locked="alice")
    assert changes(before, declared("carol"), []).unlocked == set()


def test_an_account_that_we_did_not_lock_is_not_unlocked():
    assert changes(declared(), declared("alice"), []).unlocked == set()


def test_groups_are_joined_and_left_by_list():
    before = declared(groups={"docker": "alice bob"})
    found = changes(before, declared(groups={"docker": "alice", "video": "carol"}), [])
    assert found.joins == {("carol", "video")}
    assert found.leaves == {("bob", "docker")}


def test_a_new_administrator_joins_the_group_that_has_sudo():
    found = changes(declared(), declared(admins="ada"), [])
    assert found.joins == {("ada", ADMINS_GROUP)}


def test_without_anything_known_of_before_only_bans_count():
    hub_users = [HubUser("old", is_admin=True), HubUser("eve", servers=("",))]
    found = changes(None, declared("alice", banned="eve"), hub_users)
    assert (found.shut_out, found.demoted) == ({"eve"}, set())


def test_names_are_compared_as_the_hub_knows_them():
    config = load(b"users: {allowed: [Alice], extra_user_groups: {video: [BOB]}}")
    assert declared_in(config).allowed == {"alice"}
    assert declared_in(config).groups_of("bob") == {"video"}


NAMES = st.frozensets(st.sampled_from(["ada", "bob", "carol", "dave"]))
DECLARED = st.builds(
    Declared,
    NAMES,
    NAMES,
    NAMES,
    st.dictionaries(st.sampled_from(["docker", "video"]), NAMES),
    st.frozensets(st.sampled_from(["audio", "video"])),
)


@given(DECLARED)
def test_what_was_declared_is_read_back_as_it_was_written(some):
    assert read_declared(some.as_bytes()) == some


@given(DECLARED, DECLARED)
def test_a_second_time_there_is_nothing_to_do(before, after):
    done = changes(before, after, [])
    again = changes(ledger_after(done, before, after), after, [])
    assert again == changes(after, after, [])
    assert not again.shut_out


@given(DECLARED, DECLARED)
def test_nobody_who_is_welcome_is_shut_out_or_stays_locked(before, after):
    done = changes(before, after, [])
    assert not done.shut_out & after.welcome
    assert not ledger_after(done, before, after).locked & after.welcome


@given(DECLARED, DECLARED)
def test_going_back_lets_everybody_in_again_who_was_welcome(before, after):
    there = ledger_after(changes(before, after, []), before, after)
    back = ledger_after(changes(there, before, []), there, before)
    assert not back.locked & before.welcome


def test_a_file_that_is_none_of_ours_is_nothing_known():
    for data in (None, b"", b"[]", b"{}", b'{"allowed": 3}', b"\xff"):
        assert read_declared(data) is None
