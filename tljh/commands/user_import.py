"""`tljh user import FILE.csv`: add a whole class, after a dry run."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Argument, GivesRootOption, Option, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.user_changes import read_users
from tljh.operations.user_import import Given, GivenAccess, import_entries, read_entries
from tljh.users.csv_file import ClassListEntry, csv_text


@dataclass(frozen=True)
class ImportedUsers:
    """The lines of a CSV file and their states; exit code 1 if invalid lines stopped the import."""

    entries: tuple[ClassListEntry, ...]
    is_dry_run: bool
    was_done: bool
    access: tuple[GivenAccess, ...] = ()
    gives: Given | None = None
    more_notes: tuple[str, ...] = ()

    def _count(self, state: str) -> int:
        return sum(entry.state == state for entry in self.entries)

    @property
    def exit_code(self) -> int:
        is_refused = self._count("invalid") and not self.was_done
        return int(Exit.FAILED if is_refused else Exit.DONE)

    def as_json(self) -> dict[str, Any]:
        lines = [asdict(entry) for entry in self.entries]
        for line in lines:
            line["password"] = line["password"] is not None
        return {
            "done": self.was_done,
            "dry_run": self.is_dry_run,
            "new": self._count("new"),
            "known": self._count("known"),
            "invalid": self._count("invalid"),
            "skipped": self._count("skipped"),
            "lines": lines,
            "users": [
                {"name": user.name, "password": user.password, "claim": user.claim_link}
                for user in self.access
            ],
        }

    @property
    def _counts(self) -> str:
        states = ["new", "known", "invalid", *(["skipped"] if self._count("skipped") else [])]
        return ", ".join(f"{self._count(state)} {state}" for state in states)

    @property
    def notes(self) -> list[str]:
        return [*self._notes_about_lines, *self._notes_about_access]

    @property
    def _notes_about_lines(self) -> list[str]:
        """Return notes about lines that the admin may have meant otherwise."""
        notes = []
        if self._prints_access:
            notes = [entry.as_text() for entry in self.entries if entry.state == "skipped"]
        for entry in self.entries:
            if entry.is_first_of_plain and entry.state == "new":
                name = shlex.quote(entry.name)
                undo = f"sudo tljh user remove {name}" if self.was_done else f"--column {name}"
                notes.append(
                    f"note: the file has no heading that is known, so its first line, {name}, is a "
                    f"user; if it is a heading: {undo}"
                )
        return notes

    @property
    def _notes_about_access(self) -> list[str]:
        if not self._prints_access:
            return list(self.more_notes)
        if not self.access:
            return [f"done: {self._counts}; all have a password already"]
        number = format_count(len(self.access), "user")
        is_password = self.gives == "passwords"
        gift = "a password" if is_password else "a claim link"
        again = "tljh user reset-password" if is_password else "tljh user claim"
        return [
            f"done: {self._counts}; {gift} for {number} who had none",
            f"note: this list is printed only once; later: sudo {again} NAME",
        ]

    @property
    def _prints_access(self) -> bool:
        return self.was_done and self.gives is not None

    def _access_as_csv(self) -> str:
        if self.gives == "passwords":
            rows = [(user.name, user.password or "") for user in self.access]
            return csv_text([("name", "password"), *rows]).rstrip()
        links = [(user.name, user.claim_link or "", user.expires or "") for user in self.access]
        return csv_text([("name", "claim link", "valid until"), *links]).rstrip()

    def as_text(self) -> str:
        if self._prints_access:
            return self._access_as_csv()
        counts = self._counts
        if self.was_done:
            last = f"done: {counts}"
        elif self.is_dry_run:
            last = f"dry run, nothing was changed: {counts}"
        else:
            last = f"nothing was changed: {counts}\nfix these lines, or add --skip-invalid"
        printed = self.entries
        if not self.is_dry_run and not self.was_done:
            printed = tuple(entry for entry in self.entries if entry.state == "invalid")
        return "\n".join([*(entry.as_text() for entry in printed), last])


def import_users(
    file: Annotated[str, Argument("FILE.csv", "Columns name, admin, groups, password.")],
    *,
    dry_run: Annotated[
        bool, Option("--dry-run", "Print what would happen to each line; change nothing.")
    ] = False,
    column: Annotated[
        str | None, Option("--column", "Heading of the column with the login names.")
    ] = None,
    generate: Annotated[
        bool, Option("--generate", "Generate first passwords and print them as CSV, once.")
    ] = False,
    claim_links: Annotated[
        bool, Option("--claim-links", "Print one-time links to set the first password, as CSV.")
    ] = False,
    skip_invalid: Annotated[
        bool, Option("--skip-invalid", "Import the valid lines of a file with invalid ones.")
    ] = False,
    gives_root: GivesRootOption = False,
    as_json: bool = False,
) -> ImportedUsers:
    """Add every user of a CSV file (`-` is standard input), and apply it."""
    if generate and claim_links:
        raise TljhError("--generate and --claim-links exclude each other", exit_code=Exit.USAGE)
    gives: Given | None = "passwords" if generate else "claim links" if claim_links else None
    users = read_users(RealHost(), get_paths())
    entries = read_entries(users, _read(file), column, gives_root=gives_root)
    is_refused = any(entry.state == "invalid" for entry in entries) and not skip_invalid
    if dry_run or is_refused:
        return ImportedUsers(entries, dry_run, was_done=False)
    progress = choose_progress_on_stderr(as_json)
    access, notes = import_entries(users, entries, Path(file).name, progress, gives=gives)
    return ImportedUsers(entries, False, True, access, gives, notes)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise TljhError(f"{file} cannot be read", why=error.strerror) from error
