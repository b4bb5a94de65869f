"""Names put into and taken out of the lists of a config.yaml that people care for."""

from __future__ import annotations

from tljh.settings.load import load
from tljh.users.list_edits import (
    ADMINS,
    ALLOWED,
    GROUPS,
    names_at,
    with_names,
    without_names,
    without_people,
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
    text = with_names(TEXT, ALLOWED, ["carol", "carol", "BOB"])
    assert names_at(text, ALLOWED) == ["alice", "bob", "carol"]
    assert "# since autumn" in text
    assert "# the boss" in text


def test_a_list_that_is_not_there_is_made():
    assert load(with_names("", ADMINS, ["ada"]).encode()).users.admin == ["ada"]
    assert names_at(with_names(TEXT, (*GROUPS, "audio"), ["ada"]), (*GROUPS, "audio")) == ["ada"]


def test_a_name_is_removed_however_its_case_is_written():
    assert names_at(without_names(TEXT, ADMINS, ["ada"]), ADMINS) == []


def test_who_leaves_is_gone_from_every_list_and_no_empty_group_stays():
    text = without_people(TEXT, ["bob"])
    assert load(text.encode()).users.extra_user_groups == {"video": ["alice"]}
    assert names_at(text, ALLOWED) == ["alice"]
    assert "# ours" in text


def test_a_class_of_500_is_put_in_and_taken_out_at_once():
    names = [f"pupil-{number}" for number in range(500)]
    text = with_names(TEXT, ALLOWED, names)
    assert names_at(text, ALLOWED) == ["alice", "bob", *names]
    assert names_at(without_people(text, names), ALLOWED) == ["alice", "bob"]


def test_removing_the_last_name_leaves_an_empty_list_not_no_list():
    text = without_people("users:\n  allowed:\n    - bob\n", ["bob"])
    assert names_at(text, ALLOWED) == []
    assert "allowed" in text
