"""A class list as a CSV file: read leniently, checked line by line, before anything happens.

The columns are `name` and, where wanted, `admin`, `groups` and `password`; a file without these
words in its first line is a list of names.
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


# A file that is larger is a mistake: 10,000 people need less.
MAX_BYTES = 2_000_000


State = Literal["new", "known", "invalid"]


@dataclass(frozen=True)
class Entry:
    """One line of a class list and what becomes of it; `problem` says why it is invalid."""

    line: int
    name: str
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    password: str | None = None
    state: State = "new"
    problem: str = ""

    def as_text(self) -> str:
        what = {"new": "is added", "known": "is there already", "invalid": self.problem}
        more = [f"groups {', '.join(self.groups)}"] if self.groups else []
        more += ["administrator"] if self.is_admin else []
        more += ["password set"] if self.password and self.state == "new" else []
        shown = f" ({'; '.join(more)})" if more and self.state != "invalid" else ""
        return f"line {self.line}: {self.name or '(no name)'} {what[self.state]}{shown}"


def read_roster(data: bytes, known: Iterable[str], shortest_password: int = 0) -> list[Entry]:
    """The entries of a class list, in its order, each with its state.

    `known` are the names that may log in already. Raises TljhError for a file that is none.
    """
    entries = []
    seen: dict[str, int] = {}
    there = {name.lower() for name in known}
    for entry in _entries(_text(data)):
        problem = entry.problem or _problem(entry, shortest_password)
        name = entry.name.lower()
        if not problem and name in seen:
            problem = f"stands in line {seen[name]} as well"
        seen.setdefault(name, entry.line)
        state: State = "known" if name in there else "new"
        entries.append(replace(entry, state="invalid" if problem else state, problem=problem))
    if not entries:
        raise TljhError("the file names nobody", fix="one name in each line, or a CSV file")
    return entries


def _text(data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise TljhError(
            f"the file has {len(data)} bytes, more than a class list can have",
            fix="is it the right file? it should be text, with a name in each line",
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise TljhError(
            f"line {line} of the file is not in UTF-8",
            fix="save it as 'CSV UTF-8'",
        ) from error
    if "\0" in text:
        raise TljhError("the file is no text", fix="save it as 'CSV UTF-8'")
    return text


def _entries(text: str) -> Iterable[Entry]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
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
    names = ["name" if cell.lower() in NAME_COLUMNS else cell.lower() for cell in cells]
    if "name" not in names:
        if len([name for name in names if name]) > 1:
            raise TljhError(
                "the first line of the file has no column that is called name",
                why=f"it has {', '.join(cells)}",
                fix=f"name the columns in the first line: {', '.join(COLUMNS)}",
            )
        return None
    unknown = [name for name in names if name and name not in COLUMNS]
    if unknown:
        raise TljhError(
            f"the file has a column that means nothing here: {unknown[0]}",
            fix=f"the columns are {', '.join(COLUMNS)}; remove or rename it",
        )
    return names


def _entry(line: int, cells: dict[str, str], row: list[str], header: list[str]) -> Entry:
    admin = cells.get("admin", "").lower()
    problem = ""
    if any(row[len(header) :]):
        problem = f"has {len(row)} cells, and the file {len(header)} columns"
    elif admin not in (*YES, *NO):
        problem = f"is {admin!r} an administrator? write yes or no"
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
        return "is not a name that somebody could log in with"
    for group in entry.groups:
        if not GROUP.fullmatch(group):
            return f"has a group that Linux does not take: {group!r}"
    if entry.password is not None and len(entry.password) < shortest_password:
        return f"has a password of less than {shortest_password} characters"
    return ""


def as_csv(rows: Iterable[tuple[str, bool, tuple[str, ...]]]) -> str:
    """Name, administrator or not, and groups of people, as a file that `read_roster` reads."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("name", "admin", "groups"))
    for name, is_admin, groups in rows:
        writer.writerow((name, "yes" if is_admin else "no", ";".join(groups)))
    return stream.getvalue()
