"""What changes for which user, decided from the lists alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tljh.host.accounts import ADMINS_GROUP
from tljh.settings.derived import build_access_traits
from tljh.settings.load import load
from tljh.users.declared_access import (
    DeclaredAccess,
    HubUser,
    collect_declared,
    compare_access,
    compute_ledger,
    read_declared,
)


def declared(allowed="", admins="", banned="", groups=None, locked="") -> DeclaredAccess:
    return DeclaredAccess(
        *(frozenset(names.split()) for names in (allowed, admins, banned)),
        groups={name: frozenset(members.split()) for name, members in (groups or {}).items()},
        locked=frozenset(locked.split()),
    )


def test_a_user_who_is_removed_from_the_list_is_shut_out():
    changes = compare_access(declared("alice bob"), declared("alice"), [])
    assert changes.shut_out == {"bob"}


def test_the_last_user_in_the_list_is_shut_out_like_any_other():
    assert compare_access(declared("alice"), declared(), []).shut_out == {"alice"}


def test_an_empty_list_allows_no_user_even_where_no_list_allows_all():
    for name in ("dummy", "shared-password"):
        for users, is_open in (("", True), ("users: {allowed: []}", False)):
            config = load(f"auth: {{type: {name}}}\n{users}".encode())
            assert build_access_traits(config)["allow_all"] is is_open


def test_a_user_who_was_added_in_the_hub_stays_when_the_list_changes():
    hub_users = [HubUser("carol", last_activity="2026-11-01T00:00:00Z")]
    assert compare_access(declared("alice"), declared("bob"), hub_users).shut_out == {"alice"}


def test_a_former_admin_stays_a_user_where_users_are_not_listed():
    changes = compare_access(declared(admins="ada bob"), declared(admins="ada"), [])
    assert changes.demoted == {"bob"}
    assert changes.shut_out == set()


def test_a_former_admin_who_is_in_no_list_is_shut_out_where_users_are_listed():
    changes = compare_access(declared("alice", "ada bob"), declared("alice", "ada"), [])
    assert changes.shut_out == {"bob"}
    assert changes.demoted == set()


def test_a_former_admin_who_is_still_allowed_is_demoted_only():
    changes = compare_access(declared("alice bob", "bob"), declared("alice bob"), [])
    assert (changes.demoted, changes.shut_out) == ({"bob"}, set())


def test_a_ban_shuts_out_users_in_a_list_or_in_none():
    changes = compare_access(declared("alice"), declared("alice", banned="alice mallory"), [])
    assert changes.shut_out == {"alice", "mallory"}


def test_a_ban_is_applied_once():
    before = declared("alice", banned="alice", locked="alice")
    # The hub makes a record for each name in the list of the allowed, each time it starts.
    assert (
        compare_access(before, declared("alice", banned="alice"), [HubUser("alice")]).shut_out
        == set()
    )


def test_a_banned_user_who_is_active_is_shut_out_again():
    before = declared(banned="mallory", locked="mallory")
    active = HubUser("mallory", last_activity="2026-11-01T00:00:00Z")
    assert compare_access(before, declared(banned="mallory"), [active]).shut_out == {"mallory"}


def test_the_end_of_a_ban_unlocks_the_account():
    before = declared(banned="alice", locked="alice")
    assert compare_access(before, declared("alice"), []).unlocked == {"alice"}
    assert compare_access(before, declared(), []).unlocked == {"alice"}


def test_a_plan_does_not_say_that_an_account_of_the_machines_own_is_locked():
    changes = compare_access(DeclaredAccess(allowed=frozenset({"ann"})), DeclaredAccess(), [])
    assert "account locked" in changes.as_lines()[0]
    assert "account" not in changes.as_lines(has_own_accounts=False)[0]


def test_a_removed_user_stays_locked_while_others_come_and_go():
    before = declared("bob", locked="alice")
    assert compare_access(before, declared("carol"), []).unlocked == set()


def test_an_account_that_we_did_not_lock_is_not_unlocked():
    assert compare_access(declared(), declared("alice"), []).unlocked == set()


def test_groups_are_joined_and_left_by_list():
    before = declared(groups={"docker": "alice bob"})
    changes = compare_access(before, declared(groups={"docker": "alice", "video": "carol"}), [])
    assert changes.joins == {("carol", "video")}
    assert changes.leaves == {("bob", "docker")}


def test_a_new_admin_joins_the_group_that_has_sudo():
    changes = compare_access(declared(), declared(admins="ada"), [])
    assert changes.joins == {("ada", ADMINS_GROUP)}


def test_without_a_ledger_only_bans_are_applied():
    hub_users = [HubUser("old", is_admin=True), HubUser("eve", servers=("",))]
    changes = compare_access(None, declared("alice", banned="eve"), hub_users)
    assert (changes.shut_out, changes.demoted) == ({"eve"}, set())


def test_names_are_compared_as_the_hub_knows_them():
    config = load(b"users: {allowed: [Alice], extra_user_groups: {video: [BOB]}}")
    assert collect_declared(config).allowed == {"alice"}
    assert collect_declared(config).groups_of("bob") == {"video"}


NAMES = st.frozensets(st.sampled_from(["ada", "bob", "carol", "dave"]))
DECLARED = st.builds(
    DeclaredAccess,
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
    first = compare_access(before, after, [])
    again = compare_access(compute_ledger(first, before, after), after, [])
    assert again == compare_access(after, after, [])
    assert not again.shut_out


@given(DECLARED, DECLARED)
def test_no_permitted_user_is_shut_out_or_stays_locked(before, after):
    first = compare_access(before, after, [])
    assert not first.shut_out & after.permitted
    assert not compute_ledger(first, before, after).locked & after.permitted


@given(DECLARED, DECLARED)
def test_going_back_unlocks_all_users_who_were_permitted_before(before, after):
    ledger = compute_ledger(compare_access(before, after, []), before, after)
    back = compute_ledger(compare_access(ledger, before, []), ledger, before)
    assert not back.locked & before.permitted


def test_a_file_that_is_not_a_ledger_reads_as_none():
    for data in (None, b"", b"[]", b"{}", b'{"allowed": 3}', b"\xff"):
        assert read_declared(data) is None
