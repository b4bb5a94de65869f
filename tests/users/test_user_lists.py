"""Lists of users in class sections: those of the authenticator count, in addition to `users`."""

from __future__ import annotations

import pytest

from tljh.base.paths import Paths
from tljh.hub.configuration import build_hub_configuration
from tljh.settings.load import load
from tljh.users.declared_access import collect_declared
from tljh.users.user_lists import combine_user_lists, rename_old_lists

USERS = "users: {allowed: [ann], admin: [boss], banned: [eve]}\n"


@pytest.mark.parametrize(
    ("auth", "allowed", "admins"),
    [
        ("{type: firstuse}", {"ann"}, {"boss"}),
        ("{type: dummy, DummyAuthenticator: {password: abcdefgh12, allowed_users: [Carol]}}",
         {"ann", "carol"}, {"boss"}),
        ("{type: dummy, DummyAuthenticator: {password: abcdefgh12, whitelist: [carol]}}",
         {"ann", "carol"}, {"boss"}),
        ("{type: pam, LocalAuthenticator: {admin_users: [zoe]}}", {"ann"}, {"boss", "zoe"}),
        ("{type: firstuse, Authenticator: {admin_users: [zoe]}}", {"ann"}, {"boss", "zoe"}),
        ("{type: firstuse, FirstUseAuthenticator: {admin_users: []}}", {"ann"}, set()),
        ("{type: mine.Own, Own: {allowed_users: [carol]}}", {"ann", "carol"}, {"boss"}),
        # Not in use.
        ("{type: firstuse, DummyAuthenticator: {admin_users: [mallory]}}", {"ann"}, {"boss"}),
        ("{type: native, FirstUseAuthenticator: {allowed_users: [mallory]}}", {"ann"}, {"boss"}),
        ("{type: mine.Own, DummyAuthenticator: {admin_users: [mallory]}}", {"ann"}, {"boss"}),
    ],
)  # fmt: skip
def test_lists_of_the_authenticators_classes_are_added_to_those_of_users(auth, allowed, admins):
    config = load(f"{USERS}auth: {auth}\n".encode())
    declared = collect_declared(config)
    assert (declared.allowed, declared.admins, declared.banned) == (allowed, admins, {"eve"})
    ours = build_hub_configuration(config, Paths())["Authenticator"]
    assert "mallory" not in ours["admin_users"]
    assert "mallory" not in ours["allowed_users"]


def test_a_class_that_the_file_chooses_by_jupyterhubs_own_option_is_the_one_in_use():
    text = f"{USERS}JupyterHub: {{authenticator_class: dummy}}\n"
    text += "auth: {DummyAuthenticator: {password: abcdefgh12, allowed_users: [carol]}}\n"
    config = load(text.encode())
    assert config.auth.type == "dummy"
    assert collect_declared(config).allowed == {"ann", "carol"}


def test_the_order_is_from_base_to_subclass_whatever_the_source():
    ours = {"Authenticator": {"allowed_users": ["ann"]}, "Sub": {"allowed_users": ["bob"]}}
    theirs = {"Authenticator": {"allowed_users": {"zoe"}}}
    lists, emptied = combine_user_lists([ours, theirs], ["Authenticator", "Sub"])
    assert set(lists["Sub"]["allowed_users"]) == {"ann", "bob", "zoe"}
    assert lists["Authenticator"]["allowed_users"] == {"ann", "zoe"}
    assert emptied == []


def test_who_empties_a_list_has_it_empty_and_is_named():
    ours = {"Authenticator": {"admin_users": ["boss"]}}
    lists, emptied = combine_user_lists(
        [ours, {"Sub": {"admin_users": []}}], ["Authenticator", "Sub"]
    )
    assert lists["Sub"]["admin_users"] == []
    assert emptied == [("Sub", "admin_users")]


def test_old_names_of_the_lists_are_renamed_and_added():
    sections = {"Sub": {"whitelist": {"ann"}, "allowed_users": {"bob"}, "blacklist": ["eve"]}}
    renamed = rename_old_lists(sections)["Sub"]
    assert renamed == {"allowed_users": {"ann", "bob"}, "blocked_users": ["eve"]}
