"""Class lists as CSV files: parsing, checking line by line, and writing.

The columns are `name` and, optionally, `admin`, `groups` and `password`; exports of Canvas, Moodle
and GitHub Classroom are read as they are (`roster_columns`). A file whose first line is no heading
is a plain list of names. Nothing here changes the machine.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tljh.base.account_names import is_acceptable
from tljh.base.errors import TljhError
from tljh.base.files import decode_text
from tljh.users.roster_columns import (
    SEPARATOR_LINE,
    RosterColumns,
    find_columns,
    find_skip_reason,
)

YES = ("1", "true", "yes", "y", "x", "ja", "oui", "si", "sí", "sim")


NO = ("", "0", "false", "no", "n", "nein", "non", "não")


GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


# The last column of Brightspace's exports, which put `#` before each login name.
END_MARK = "End-of-Line Indicator"


# A larger file is a mistake: 10,000 users need less.
MAX_BYTES = 2_000_000


State = Literal["new", "known", "invalid", "skipped"]


@dataclass(frozen=True)
class ClassListEntry:
    """One line of a class list and what its import does.

    `problem` says why it is invalid or skipped; `is_first_of_plain` marks the first line of a file
    without a heading.
    """

    line: int
    name: str
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    password: str | None = None
    state: State = "new"
    problem: str = ""
    is_first_of_plain: bool = False

    def as_text(self) -> str:
        if self.state == "skipped":
            return f"line {self.line} is skipped: {self.problem}"
        effects = {"new": "is added", "known": "may log in already", "invalid": self.problem}
        notes = [f"groups {', '.join(self.groups)}"] if self.groups else []
        notes += ["admin"] if self.is_admin else []
        notes += ["password set"] if self.password and self.state == "new" else []
        suffix = f" ({'; '.join(notes)})" if notes and self.state != "invalid" else ""
        return f"line {self.line}: {self.name or '(no name)'} {effects[self.state]}{suffix}"


def read_roster(
    data: bytes,
    existing_names: Iterable[str],
    shortest_password: int = 0,
    column: str | None = None,
) -> list[ClassListEntry]:
    """Parse a class list and return its entries, in the order of the file, each with its state.

    `existing_names` are the users who may log in already; `column` is the heading of the column
    with the login names, where the file has several that can be it. Names are compared in lower
    case, as JupyterHub does. Raises TljhError for a file that is not a class list.
    """
    entries = []
    first_lines: dict[str, int] = {}
    existing = {name.lower() for name in existing_names}
    for entry in _parse(_decode(data), column):
        if entry.state == "skipped":
            entries.append(entry)
            continue
        problem = entry.problem or _find_problem(entry, shortest_password)
        name = entry.name.lower()
        if not problem and name in first_lines:
            problem = f"is also in line {first_lines[name]}"
        first_lines.setdefault(name, entry.line)
        state: State = "known" if name in existing else "new"
        entries.append(replace(entry, state="invalid" if problem else state, problem=problem))
    if all(entry.state == "skipped" for entry in entries):
        raise TljhError("the file has no names in it", fix="one name in each line, or a CSV file")
    return entries


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise TljhError(
            f"the file has {len(data)} bytes, more than a class list can have",
            fix="is it the right file? it should be text, with a name in each line",
        )
    try:
        text = decode_text(data)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TljhError(
            f"line {line} of the file is not in UTF-8",
            fix="save it as 'CSV UTF-8'",
        ) from error
    if "\0" in text:
        raise TljhError("the file is not text", fix="save it as 'CSV UTF-8'")
    return text


def _parse(text: str, column: str | None = None) -> Iterable[ClassListEntry]:
    lines = [line for line in text.splitlines() if line.strip()]
    # Spreadsheet programs write semicolons where the locale's decimal mark is a comma.
    delimiter = max(",;\t", key=(lines or [""])[0].count)
    separator = SEPARATOR_LINE.fullmatch(lines[0].strip('" ')) if lines else None
    if separator:
        delimiter = separator[1]
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            row = [cell.strip() for cell in cells]
            is_separator = separator and not rows and row and row[0].lower().startswith("sep=")
            if END_MARK in row or (rows and END_MARK in rows[0][1]):
                row = [cell.removeprefix("#") for cell in row]
            is_numbered = row[:1] == ["#"] and any(row[1:])
            is_comment = row[:1] and row[0].startswith("#") and not is_numbered
            if any(row) and not is_comment and not is_separator:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        raise TljhError(f"line {reader.line_num} of the file is not CSV", why=str(error)) from error
    if not rows:
        return
    columns = find_columns([row for _, row in rows], column)
    for line, row in rows[1:] if columns.has_heading else rows:
        reason = find_skip_reason(row, columns)
        if reason:
            yield ClassListEntry(line, "", state="skipped", problem=reason)
        else:
            entry = _parse_entry(line, row, columns)
            is_first = not columns.has_heading and line == rows[0][0] and len(rows) > 1
            yield replace(entry, is_first_of_plain=is_first)


def _parse_entry(line: int, row: list[str], columns: RosterColumns) -> ClassListEntry:
    def cell(name: str) -> str:
        index = columns.own.get(name)
        return row[index] if index is not None and index < len(row) else ""

    login = row[columns.login] if columns.login < len(row) else ""
    admin = cell("admin").lower()
    problem = ""
    if columns.is_strict and any(row[columns.width :]):
        problem = f"has {len(row)} cells, but the file has {columns.width} columns"
    elif admin not in (*YES, *NO):
        problem = f"has {admin!r} in the column admin; write yes or no"
    elif not login and columns.has_heading and not columns.is_strict:
        problem = f"has nothing in the column {columns.heading}"
    return ClassListEntry(
        line,
        login,
        admin in YES,
        tuple(part for part in re.split(r"[;,|\s]+", cell("groups")) if part),
        cell("password") or None,
        problem=problem,
    )


def _find_problem(entry: ClassListEntry, shortest_password: int) -> str:
    if not entry.name:
        return "has no name"
    if not is_acceptable(entry.name):
        return "is not a name that a user could log in with"
    for group in entry.groups:
        if not GROUP.fullmatch(group):
            return f"has a group that Linux does not accept: {group!r}"
    if entry.password is not None and len(entry.password) < shortest_password:
        return f"has a password of less than {shortest_password} characters"
    return ""


def format_csv(rows: Iterable[tuple[str, bool, tuple[str, ...]]]) -> str:
    """Write rows of name, is admin, groups as a CSV file that `read_roster` can read."""
    cells = (
        (name, "yes" if is_admin else "no", ";".join(groups)) for name, is_admin, groups in rows
    )
    return csv_text((("name", "admin", "groups"), *cells))


def csv_text(rows: Iterable[Sequence[str]]) -> str:
    """Write rows as CSV, with the line ends of this machine."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()
