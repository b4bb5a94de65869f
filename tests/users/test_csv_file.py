"""Class lists as teachers have them: from spreadsheets, from mail, with mistakes."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tljh.base.errors import TljhError
from tljh.users.csv_file import format_csv, read_roster


def states(data: bytes, existing=(), shortest=0) -> dict[str, str]:
    return {entry.name: entry.state for entry in read_roster(data, existing, shortest)}


def test_a_plain_list_of_names_is_enough():
    assert states(b"alice\nbob\n\n# later: carol\n") == {"alice": "new", "bob": "new"}


def test_a_spreadsheet_of_any_locale_is_read():
    for text in (
        "name;admin\r\nalice;yes\r\n",
        "name,admin\nalice,yes\n",
        "name\tadmin\nalice\tx\n",
    ):
        (entry,) = read_roster(b"\xef\xbb\xbf" + text.encode(), ())
        assert (entry.name, entry.is_admin) == ("alice", True)


def test_columns_may_have_common_other_names_and_come_in_any_order():
    (entry,) = read_roster(b"Groups,Username\nvideo;docker,alice\n", ())
    assert entry.name == "alice"
    assert entry.groups == ("video", "docker")


def test_one_group_of_our_format_is_a_group_and_that_of_a_schools_list_is_none():
    (entry,) = read_roster(b"name,group\nzoe,video\n", ())
    assert entry.groups == ("video",)
    (entry,) = read_roster(b"username,group,teacher\nzoe,5b,Smith\n", ())
    assert (entry.name, entry.groups) == ("zoe", ())


def test_existing_users_are_distinguished_from_new_ones():
    assert states(b"Alice\nbob\n", existing=["alice"]) == {"Alice": "known", "bob": "new"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("a;id", "not a name"),
        ("..", "not a name"),
        ("`id`", "not a name"),
        (",yes", "no name"),
        ("bob,perhaps", "write yes or no"),
        ("bob,no,Grün", "a group that Linux does not accept"),
        ("bob,no,,short", "less than 8 characters"),
        ("bob,no,,long-enough-1,what", "has 5 cells"),
        ("ALICE", "is also in line 2"),
    ],
)
def test_each_bad_line_says_what_is_wrong_with_it(line, problem):
    data = f"name,admin,groups,password\nalice\n{line}\n".encode()
    entry = read_roster(data, (), 8)[-1]
    assert entry.state == "invalid"
    assert problem in entry.as_text()
    assert "line 3" in entry.as_text()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "has no names in it"),
        (b"name,admin\n", "has no names in it"),
        (b"name,colour\nalice,red\n", "unknown column: colour"),
        (b"Vorname;Nachname\nAnna;Muster\n", "no column of login names"),
        ("name\nal\u00efce\n".encode("latin-1"), "line 2 of the file is not in UTF-8"),
        (b"PK\x03\x04\0\0", "is not text"),
        (b"x" * 3_000_000, "more than a class list"),
    ],
)
def test_a_file_that_is_not_a_class_list_is_refused(data, problem):
    with pytest.raises(TljhError, match=problem):
        read_roster(data, ())


def test_a_password_is_never_shown():
    (entry,) = read_roster(b"name,password\nalice,correct-horse\n", ())
    assert "correct-horse" not in entry.as_text()


@given(st.binary(max_size=300))
def test_no_file_makes_anything_but_entries_or_a_refusal(data):
    with contextlib.suppress(TljhError):
        read_roster(data, ())


def test_what_is_exported_can_be_imported():
    rows = [("alice", True, ("video", "docker")), ("b@c.org", False, ())]
    entries = read_roster(format_csv(rows).encode(), ())
    assert [(entry.name, entry.is_admin, entry.groups) for entry in entries] == rows


CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,Homework 1
    Points Possible,,,,,10
"Muster, Anna",17,s17,amuster,A,9
"Student, Test",99,,,A,
"""
MOODLE = """First name,Surname,ID number,Email address,Groups
Anna,Muster,17,anna@example.org,A
"""
CLASSROOM = """identifier,github_username,github_id,name
s17,annamuster,4711,Anna Muster
"""


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("email\nann@example.org\nbob@example.org\n", ["ann@example.org", "bob@example.org"]),
        ("E-Mail-Adresse\nann@example.org\n", ["ann@example.org"]),
        ("Benutzername\nann\nbob\n", ["ann", "bob"]),
        ("nom d'utilisateur\nann\n", ["ann"]),
        ("ユーザー名\nann\n", ["ann"]),
        ("sep=;\nname;admin\nann;yes\n", ["ann"]),
        ("sep=,\nann\nbob\n", ["ann", "bob"]),
        ("\ufeffusername\nann\n", ["ann"]),
        (CANVAS, ["amuster"]),
        (MOODLE, ["anna@example.org"]),
        (CLASSROOM, ["annamuster"]),
        ("Vorname;Nachname;Anmeldename\nAnna;Muster;amuster\n", ["amuster"]),
        ("ann\nbob\n", ["ann", "bob"]),
        ("Ann\nBob\nCarl\n", ["Ann", "Bob", "Carl"]),
    ],
)
def test_a_heading_makes_no_user_and_exports_are_read_as_they_are(text, names):
    entries = read_roster(text.encode(), [])
    assert [(entry.name, entry.state) for entry in entries] == [(name, "new") for name in names]


@pytest.mark.parametrize(
    "text",
    [
        "Students\nann\nbob\ncarl\n",
        "Schüler:innen 7b\nann\nbob\ncarl\n",
        "Die Klasse\nann@example.org\nbob@example.org\n",
        "Kennwort\ns001\ns002\ns003\n",
        "Matrikelnummer\n1001\n",
    ],
)
def test_a_first_line_that_may_be_a_heading_is_refused(text):
    with pytest.raises(TljhError, match="looks like a heading"):
        read_roster(text.encode(), [])


def test_an_export_in_utf_16_with_tabs_is_read():
    text = '"Last Name"\t"Username"\t"Student ID"\r\n"Doe"\t"jdoe"\t"123"\r\n'
    assert [entry.name for entry in read_roster(text.encode("utf-16"), [])] == ["jdoe"]


def test_names_of_an_export_of_brightspace_are_no_comments():
    text = "OrgDefinedId,Username,Email,End-of-Line Indicator\n#1,#jdoe,j@x.edu,#\n"
    assert [entry.name for entry in read_roster(text.encode(), [])] == ["jdoe"]


@pytest.mark.parametrize(("word", "is_admin"), [("ja", True), ("Nein", False), ("oui", True)])
def test_admins_are_marked_in_the_usual_languages(word, is_admin):
    [entry] = read_roster(f"sep=;\nname;admin\njdoe;{word}\n".encode(), [])
    assert (entry.state, entry.is_admin) == ("new", is_admin)


def test_several_columns_that_can_be_it_are_refused_and_one_can_be_named():
    text = b"username,login id\nann,a1\n"
    with pytest.raises(TljhError, match="several columns"):
        read_roster(text, [])
    assert [entry.name for entry in read_roster(text, [], column="Login ID")] == ["a1"]
    with pytest.raises(TljhError, match="no column 'email'"):
        read_roster(text, [], column="email")


def test_a_named_column_of_a_foreign_file_gives_no_admins():
    text = b"who,admin\nann,yes\n"
    (entry,) = read_roster(text, [], column="who")
    assert not entry.is_admin
