"""The search for the column of a class list that has the login names.

Lists come from Canvas, Moodle, GitHub Classroom and spreadsheets, with headings in the language
of the school. A heading that is taken for a name is a security hole: any visitor could log in as
`email`. So a first line that is no known heading, but looks unlike the lines below, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.users.roster_headings import (
    classify_heading,
    has_heading_word,
    is_like_heading,
    normalize_heading,
)

OWN_COLUMNS = ("name", "admin", "groups", "password")

# What people write for a column of our format, as `normalize_heading` returns it.
SYNONYMS = {
    "names": "name",
    "group": "groups",
    **dict.fromkeys(("admins", "administrator", "administrators", "isadmin"), "admin"),
    **dict.fromkeys(("passwords", "initialpassword"), "password"),
}
OWN_NAME_HEADINGS = ("name", "username", "user", "login")
SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
# First cells of lines that Canvas and Google Classroom put between the students.
NO_STUDENTS = re.compile(
    r"points( possible)?|max(imum)? points|(due )?date|class average|student, test|test student",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class RosterColumns:
    """The columns of a file: `login` is the index of the names, `own` those of our format.

    `has_heading` is false for a plain list; `is_strict` for our own format, where every column
    must be known.
    """

    login: int
    own: dict[str, int]
    has_heading: bool
    is_strict: bool
    heading: str = ""
    width: int = 1


def find_skip_reason(row: Sequence[str], columns: RosterColumns) -> str:
    """Return why a line of a school's list has nobody to add; empty for a line with a user."""
    if columns.is_strict or not columns.has_heading:
        return ""
    if NO_STUDENTS.fullmatch(row[0]):
        return f"{row[0]!r} is no student"
    if columns.login < len(row) and row[columns.login]:
        return ""
    if "github" in normalize_heading(columns.heading):
        return f"{next(filter(None, row))!r} has linked no account of GitHub"
    return "" if row[0] else "it has neither a login name nor a student"


def find_columns(rows: Sequence[Sequence[str]], column: str | None = None) -> RosterColumns:
    """Return which columns of a class list have login names, roles and groups.

    `column` is the heading that the admin chose for the names. Raises TljhError where the file has
    no column of login names, or several.
    """
    first = list(rows[0])
    if column is not None:
        return _find_named_column(first, column)
    names = _use_own_headings(first)
    own = {name: names.index(name) for name in OWN_COLUMNS if name in names}
    if len([cell for cell in first if cell]) == 1:
        return _read_single_column(rows, first)
    logins = [index for index, name in enumerate(names) if name in OWN_NAME_HEADINGS]
    # Moodle has a column of groups too: without a name it is not our format.
    if own.keys() & {"admin", "groups", "password"} and len(logins) == 1:
        _refuse_unknown([cell for cell, name in zip(first, names, strict=True)
                         if name not in ("", *own, names[logins[0]])])  # fmt: skip
        return RosterColumns(logins[0], own, True, True, first[logins[0]], len(first))
    for kind in ("login", "email"):
        matches = [index for index, cell in enumerate(first) if classify_heading(cell) == kind]
        if len(matches) == 1:
            return RosterColumns(matches[0], {}, True, False, first[matches[0]], len(first))
        if matches:
            raise TljhError(
                "the file has several columns that can hold the login names",
                why=", ".join(first[index] for index in matches),
                fix=f'say which one: --column "{first[matches[0]]}"',
            )
    if "name" in own:
        _refuse_unknown([cell for cell in first if cell and not classify_heading(cell)])
        return RosterColumns(own["name"], {}, True, False, first[own["name"]], len(first))
    raise TljhError(
        "the first line of the file has no column of login names",
        why=f"it has {', '.join(first)}",
        fix=f"name the column in the first line ({', '.join(OWN_COLUMNS)}), or give its heading: "
        f'--column "{first[0]}"',
    )


def _find_named_column(first: list[str], column: str) -> RosterColumns:
    exact = [index for index, cell in enumerate(first) if cell == column.strip()]
    key = normalize_heading(column)
    matches = exact or [i for i, cell in enumerate(first) if normalize_heading(cell) == key]
    if len(matches) != 1:
        raise TljhError(
            f"the file has no column {column!r}" if not matches else
            f"the file has {len(matches)} columns {column!r}",
            why=f"its first line is: {', '.join(first)}",
            fix="give a heading of the first line to --column",
        )  # fmt: skip
    return RosterColumns(matches[0], {}, True, False, first[matches[0]], len(first))


def _use_own_headings(first: Sequence[str]) -> list[str]:
    """Return the headings as ours, where nothing else is in the file; else as they are.

    A school's list has other columns, too, and its groups are none of the machine.
    """
    names = [normalize_heading(cell) for cell in first]
    own = [SYNONYMS.get(name, name) for name in names]
    others = [index for index, name in enumerate(own) if name not in ("", *OWN_COLUMNS)]
    if len(others) == 1 and "name" not in own:
        kind = classify_heading(first[others[0]])
        own[others[0]] = "name"
        return own if kind in ("login", "email") else names
    return names if others else own


def _refuse_unknown(headings: Sequence[str]) -> None:
    """Raise TljhError for an unknown heading: it may be one of ours with a typing mistake."""
    if headings:
        raise TljhError(
            f"the file has an unknown column: {headings[0]}",
            fix=f"the columns are {', '.join(OWN_COLUMNS)}; remove or rename it",
        )


def _read_single_column(rows: Sequence[Sequence[str]], first: list[str]) -> RosterColumns:
    index = next(number for number, cell in enumerate(first) if cell)
    cell = first[index]
    kind = classify_heading(cell)
    if kind in ("login", "email") or normalize_heading(cell) in ("name", "names"):
        return RosterColumns(index, {}, True, False, cell, len(first))
    below = [row[index] for row in rows[1:] if len(row) > index and row[index]]
    if any(len([text for text in row if text]) > 1 for row in rows[1:]):
        raise TljhError(
            f"the first line of the file has one cell, {cell!r}, and lines below have more",
            fix="remove what is above the line with the headings",
        )
    if kind or _looks_like_heading(cell, below):
        raise TljhError(
            f"the first line of the file looks like a heading: {cell!r}",
            why="as a login name, anybody could log in by it",
            fix=f'if it is a heading: --column "{cell}"; if it is a user, move it below the others',
        )
    return RosterColumns(index, {}, False, True, "", len(first))


def _looks_like_heading(first: str, below: Sequence[str]) -> bool:
    """Return whether the first line differs from all others in kind."""
    if not below:
        return False
    for is_suspect in (has_heading_word, is_like_heading):
        if "@" not in first and is_suspect(first) and not any(map(is_suspect, below)):
            return True
    kinds = (
        lambda text: "@" in text,
        lambda text: any(character.isdigit() for character in text),
        lambda text: not any(character.isdigit() for character in text),
        lambda text: not re.search(r"[\s:]", text),
        lambda text: text == text.lower(),
        lambda text: text.isascii(),
    )
    return any(all(map(kind, below)) and not kind(first) for kind in kinds)
