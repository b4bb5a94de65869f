"""What an import prints about lines that the admin may have meant otherwise."""

from __future__ import annotations

from tljh.commands.user_import import ImportedUsers
from tljh.users.csv_file import read_roster


def test_the_first_line_of_a_plain_list_is_named_as_a_user_before_and_after() -> None:
    entries = tuple(read_roster(b"ann\nbob\n", ()))
    [before] = ImportedUsers(entries, is_dry_run=True, was_done=False).notes
    assert "its first line, ann, is a user; if it is a heading: --column ann" in before
    [after] = ImportedUsers(entries, is_dry_run=False, was_done=True).notes
    assert "if it is a heading: sudo tljh user remove ann" in after


def test_skipped_lines_are_counted_and_printed_after_an_import() -> None:
    data = b"identifier,github_username,name\ns17,amuster,Anna\ns18,,\n"
    entries = tuple(read_roster(data, ()))
    skipped = "line 3 is skipped: 's18' has linked no account of GitHub"
    result = ImportedUsers(entries, is_dry_run=False, was_done=True)
    assert result.as_text().splitlines()[1:] == [
        skipped,
        "done: 1 new, 0 known, 0 invalid, 1 skipped",
    ]
    assert result.as_json()["skipped"] == 1
    with_links = ImportedUsers(entries, False, True, (), "claim links")
    assert skipped not in with_links.as_text() and skipped in with_links.notes
