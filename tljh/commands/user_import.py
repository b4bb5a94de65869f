"""`tljh user import FILE.csv`: add a whole class, after a dry run."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import paths_from_environment
from tljh.commands.parameters import Argument, GivesRootOption, Option, progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.user_changes import read_users
from tljh.operations.user_import import import_entries, read_entries
from tljh.users.csv_file import ClassListEntry


@dataclass(frozen=True)
class Imported:
    """The lines of a CSV file and their states; exit code 1 if invalid lines stopped the import."""

    entries: tuple[ClassListEntry, ...]
    is_dry_run: bool
    was_done: bool

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
            "lines": lines,
        }

    def as_text(self) -> str:
        new, known, invalid = (self._count(state) for state in ("new", "known", "invalid"))
        counts = f"{new} new, {known} known, {invalid} invalid"
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
    skip_invalid: Annotated[
        bool, Option("--skip-invalid", "Import the valid lines of a file with invalid ones.")
    ] = False,
    gives_root: GivesRootOption = False,
    as_json: bool = False,
) -> Imported:
    """Add every user of a CSV file (`-` is standard input), and apply it."""
    users = read_users(RealHost(), paths_from_environment())
    entries = read_entries(users, _read(file), column, gives_root=gives_root)
    is_refused = any(entry.state == "invalid" for entry in entries) and not skip_invalid
    if dry_run or is_refused:
        return Imported(entries, dry_run, was_done=False)
    import_entries(users, entries, Path(file).name, progress_on_stderr(as_json))
    return Imported(entries, is_dry_run=False, was_done=True)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise TljhError(f"{file} cannot be read", why=error.strerror) from error
