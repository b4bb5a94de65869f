"""Names added to and removed from the lists of a hand-written config.yaml."""

from __future__ import annotations

from tljh.settings.load import load
from tljh.users.list_edits import (
    ADMINS,
    ALLOWED,
    GROUPS,
    add_names,
    read_names,
    remove_names,
    remove_users,
)

TEXT = """\
# ours
users:
  admin: # the boss
    - Ada
  allowed:
    - alice # since autumn
    - bob
  extra_user_groups:
    video: [alice, bob]
    docker: [bob]
"""


def test_a_name_is_added_once_and_comments_stay():
    text = add_names(TEXT, ALLOWED, ["carol", "carol", "BOB"])
    assert read_names(text, ALLOWED) == ["alice", "bob", "carol"]
    assert "# since autumn" in text
    assert "# the boss" in text


def test_a_missing_list_is_created():
    assert load(add_names("", ADMINS, ["ada"]).encode()).users.admin == ["ada"]
    assert read_names(add_names(TEXT, (*GROUPS, "audio"), ["ada"]), (*GROUPS, "audio")) == ["ada"]


def test_a_name_is_removed_however_its_case_is_written():
    assert read_names(remove_names(TEXT, ADMINS, ["ada"]), ADMINS) == []


def test_a_removed_user_is_in_no_list_and_no_empty_group_stays():
    text = remove_users(TEXT, ["bob"])
    assert load(text.encode()).users.extra_user_groups == {"video": ["alice"]}
    assert read_names(text, ALLOWED) == ["alice"]
    assert "# ours" in text


def test_a_class_of_500_is_added_and_removed_at_once():
    names = [f"pupil-{number}" for number in range(500)]
    text = add_names(TEXT, ALLOWED, names)
    assert read_names(text, ALLOWED) == ["alice", "bob", *names]
    assert read_names(remove_users(text, names), ALLOWED) == ["alice", "bob"]


def test_removing_the_last_name_leaves_an_empty_list_not_no_list():
    text = remove_users("users:\n  allowed:\n    - bob\n", ["bob"])
    assert read_names(text, ALLOWED) == []
    assert "allowed" in text
