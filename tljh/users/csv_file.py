"""Class lists as CSV files: parsing, checking line by line, and writing.

The columns are `name` and, optionally, `admin`, `groups` and `password`. A file whose first line
has none of these words is a plain list of names. Nothing here changes the machine.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from tljh.base.account_names import is_acceptable
from tljh.base.errors import TljhError

NAME_COLUMNS = ("name", "username", "user", "login")


COLUMNS = ("name", "admin", "groups", "password")


YES = ("1", "true", "yes", "y", "x")


NO = ("", "0", "false", "no", "n")


GROUP = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


# A larger file is a mistake: 10,000 users need less.
MAX_BYTES = 2_000_000


State = Literal["new", "known", "invalid"]


@dataclass(frozen=True)
class Entry:
    """One line of a class list and what its import does; `problem` says why it is invalid."""

    line: int
    name: str
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    password: str | None = None
    state: State = "new"
    problem: str = ""

    def as_text(self) -> str:
        effects = {"new": "is added", "known": "may log in already", "invalid": self.problem}
        notes = [f"groups {', '.join(self.groups)}"] if self.groups else []
        notes += ["admin"] if self.is_admin else []
        notes += ["password set"] if self.password and self.state == "new" else []
        suffix = f" ({'; '.join(notes)})" if notes and self.state != "invalid" else ""
        return f"line {self.line}: {self.name or '(no name)'} {effects[self.state]}{suffix}"


def read_roster(
    data: bytes, existing_names: Iterable[str], shortest_password: int = 0
) -> list[Entry]:
    """Parse a class list and return its entries, in the order of the file, each with its state.

    `existing_names` are the users who may log in already. Names are compared in lower case, as
    JupyterHub does. Raises TljhError for a file that is not a class list.
    """
    entries = []
    first_lines: dict[str, int] = {}
    existing = {name.lower() for name in existing_names}
    for entry in _parse(_decode(data)):
        problem = entry.problem or _problem(entry, shortest_password)
        name = entry.name.lower()
        if not problem and name in first_lines:
            problem = f"is also in line {first_lines[name]}"
        first_lines.setdefault(name, entry.line)
        state: State = "known" if name in existing else "new"
        entries.append(replace(entry, state="invalid" if problem else state, problem=problem))
    if not entries:
        raise TljhError("the file has no names in it", fix="one name in each line, or a CSV file")
    return entries


def _decode(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise TljhError(
            f"the file has {len(data)} bytes, more than a class list can have",
            fix="is it the right file? it should be text, with a name in each line",
        )
    try:
        # Spreadsheet programs begin a UTF-8 file with a byte order mark.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TljhError(
            f"line {line} of the file is not in UTF-8",
            fix="save it as 'CSV UTF-8'",
        ) from error
    if "\0" in text:
        raise TljhError("the file is not text", fix="save it as 'CSV UTF-8'")
    return text


def _parse(text: str) -> Iterable[Entry]:
    first_line = next((line for line in text.splitlines() if line.strip()), "")
    # Spreadsheet programs write semicolons where the locale's decimal mark is a comma.
    delimiter = max(",;\t", key=first_line.count)
    header: list[str] | None = None
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if header is None:
                header = _header(cells)
                if header is not None:
                    continue
                header = ["name"]
            yield _entry(reader.line_num, dict(zip(header, cells, strict=False)), cells, header)
    except csv.Error as error:
        raise TljhError(f"line {reader.line_num} of the file is not CSV", why=str(error)) from error


def _header(cells: list[str]) -> list[str] | None:
    """Return the columns' names; None if the first line is already a user's name.

    Raises TljhError for a table without a column of names, or with an unknown column.
    """
    names = ["name" if cell.lower() in NAME_COLUMNS else cell.lower() for cell in cells]
    if "name" not in names:
        if len([name for name in names if name]) > 1:
            raise TljhError(
                "the first line of the file has no column called name",
                why=f"it has {', '.join(cells)}",
                fix=f"name the columns in the first line: {', '.join(COLUMNS)}",
            )
        return None
    unknown = [name for name in names if name and name not in COLUMNS]
    if unknown:
        raise TljhError(
            f"the file has an unknown column: {unknown[0]}",
            fix=f"the columns are {', '.join(COLUMNS)}; remove or rename it",
        )
    return names


def _entry(line: int, cells: dict[str, str], row: list[str], header: list[str]) -> Entry:
    admin = cells.get("admin", "").lower()
    problem = ""
    if any(row[len(header) :]):
        problem = f"has {len(row)} cells, but the file has {len(header)} columns"
    elif admin not in (*YES, *NO):
        problem = f"has {admin!r} in the column admin; write yes or no"
    return Entry(
        line,
        cells.get("name", ""),
        admin in YES,
        tuple(part for part in re.split(r"[;,|\s]+", cells.get("groups", "")) if part),
        cells.get("password") or None,
        problem=problem,
    )


def _problem(entry: Entry, shortest_password: int) -> str:
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


def as_csv(rows: Iterable[tuple[str, bool, tuple[str, ...]]]) -> str:
    """Write rows of name, is admin, groups as a CSV file that `read_roster` can read."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("name", "admin", "groups"))
    for name, is_admin, groups in rows:
        writer.writerow((name, "yes" if is_admin else "no", ";".join(groups)))
    return stream.getvalue()
