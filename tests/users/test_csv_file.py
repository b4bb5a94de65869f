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
    assert states(b"bob\nAlice\n", existing=["alice"]) == {"bob": "new", "Alice": "known"}


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
,,,,,Manual Posting
    Points Possible,,,,,10
"Muster, Anna",17,s17,amuster,A,9
"Student, Test",99,,a8f7,A,
"""
CANVAS_WITHOUT_SIS = """Student,ID,Email,Section,Login (17),Homework (18)
"Muster, Anna",17,anna@example.org,A,1,9
"""
MOODLE = """First name,Surname,ID number,Email address,Groups
Anna,Muster,17,anna@example.org,A
"""
CLASSROOM = """"identifier","github_username","github_id","name"
"s17","annamuster","4711","Anna Muster"
"s18","","",""
"""
BLACKBOARD = """"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Last Access"\t"Availability"
"Muster"\t"Anna"\t"amuster"\t"17"\t"2024-05-05"\t"Yes"
"""
GOOGLE_CLASSROOM = """Last Name,First Name,Email Address,Homework 1
Date,,,2024-05-05
Points,,,100
Muster,Anna,anna@example.org,90
"""
WORKSPACE = """First Name [Required],Email Address [Required],Password [Required]
Anna,anna@example.org,****
"""
STUDIP = """Anrede;Titel;Vorname;Nachname;Nutzernamen;E-Mail
Frau;;Anna;Muster;amuster;anna@example.org
"""
BANNER = """Record Number,Student Name,ID,Registration Status,Email
1,"Muster, Anna",A0017,Registered,anna@example.org
"""
NUMBERED = """#,Name,Email
1,Anna Muster,anna@example.org
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
        (BLACKBOARD, ["amuster"]),
        (GOOGLE_CLASSROOM, ["anna@example.org"]),
        (WORKSPACE, ["anna@example.org"]),
        (STUDIP, ["amuster"]),
        (BANNER, ["anna@example.org"]),
        (NUMBERED, ["anna@example.org"]),
        ("sep=\t\nname\tadmin\nann\tyes\n", ["ann"]),
        ("Vorname;Nachname;Anmeldename\nAnna;Muster;amuster\n", ["amuster"]),
        ("ann\nbob\n", ["ann", "bob"]),
        ("Ann\nBob\nCarl\n", ["Ann", "Bob", "Carl"]),
    ],
)
def test_a_heading_makes_no_user_and_exports_are_read_as_they_are(text, names):
    entries = [entry for entry in read_roster(text.encode(), []) if entry.state != "skipped"]
    assert [(entry.name, entry.state) for entry in entries] == [(name, "new") for name in names]


@pytest.mark.parametrize(
    "text",
    [
        "Students\nann\nbob\ncarl\n",
        "Schüler:innen 7b\nann\nbob\ncarl\n",
        "Die Klasse\nann@example.org\nbob@example.org\n",
        "Kennwort\ns001\ns002\ns003\n",
        "Matrikelnummer\n1001\n",
        "password\nann\n",
        "Admin\nann\nbob\n",
        "groups\nann\n",
        "nickname\nann\n",
        "students\nann\n",
        "学号\n2023001\n",
        "学生名单\nann\n",
        "학번\nann\n",
        "Liste der Studierenden\nann\n",
        "CS101\nann\nbob\n",
        "Хто\nann\n",
        "sername\nann\nbob\n",
        "usernmae\nann\n",
        "gmail\nann\n",
        "whoever\ns001\n",
        "colleagues\nann@example.org\n",
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


HEADINGS = """usernames emailaddresses e-mail_addresses E-Mail-Addresses accounts login_id loginid
LoginIDs LOGIN pseudo pseudos compte comptes identifiants 用户 用户名 帳號 계정 アカウント
Benutzernamen BENUTZERKENNUNGEN Nutzerkennung usuarios cuentas gebruikersnamen käyttäjätunnukset
KULLANICI_ADI kullanıcı_adı Пользователи courriels correos_electrónicos Email_Address_[Required]
Username_(SIS)
Username* github_usernames UPN sAMAccountName name Names"""


@pytest.mark.parametrize("heading", HEADINGS.split())
@pytest.mark.parametrize("names", [["ann"], ["ann", "bob"], ["s001@example.org"]])
def test_headings_are_known_by_their_letters_in_any_spelling(heading, names):
    heading = heading.replace("_", " ")
    entries = read_roster("\n".join([heading, *names, ""]).encode(), [])
    assert [entry.name for entry in entries] == names


@pytest.mark.parametrize(
    "name", ["mel", "maila", "elena", "noma", "ida", "ed", "kim", "김철수", "user1", "nora"]
)
def test_a_name_is_no_heading_and_its_line_is_marked_where_none_is_there(name):
    second = "s2" if name == "user1" else "민수" if not name.isascii() else "bob"
    first, other = read_roster(f"{name}\n{second}\n".encode(), [])
    assert (first.name, first.state, first.is_first_of_plain) == (name, "new", True)
    assert not other.is_first_of_plain


def test_users_whose_names_all_have_a_word_of_headings_are_no_heading():
    names = [f"student-{number:02}" for number in range(3)]
    assert list(states("\n".join(names).encode())) == names


def test_a_title_above_the_headings_is_refused():
    with pytest.raises(TljhError, match="has one cell, 'Informatik', and lines below have more"):
        read_roster(b"Informatik,,\nann,Ann,Muster\n", [])


def test_lines_of_an_export_without_a_user_are_skipped_and_said_so():
    texts = [entry.as_text() for entry in read_roster(CANVAS.encode(), [])]
    assert texts == [
        "line 2 is skipped: it has neither a login name nor a student",
        "line 3 is skipped: 'Points Possible' is no student",
        "line 4: amuster is added",
        "line 5 is skipped: 'Student, Test' is no student",
    ]
    assert read_roster(CLASSROOM.encode(), [])[1].as_text() == (
        "line 3 is skipped: 's18' has linked no account of GitHub"
    )
    entry = read_roster(MOODLE.encode() + b"Eve,Muster,18,,B\n", [])[1]
    assert (entry.state, entry.problem) == ("invalid", "has nothing in the column Email address")
    with pytest.raises(TljhError, match="no names"):
        read_roster(b"identifier,github_username,name\ns17,,\n", [])


@pytest.mark.parametrize("heading", ["usernames,admins", "E-Mail,Admin", "login id,is admin"])
def test_other_spellings_of_our_columns_make_admins_too(heading):
    [entry] = read_roster(f"{heading}\nann,yes\n".encode(), [])
    assert (entry.name, entry.is_admin) == ("ann", True)


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
