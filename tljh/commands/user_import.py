"""`tljh user import FILE.csv`: a whole class at once, tried before it is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import PASSWORDS, Paths
from tljh.base.progress import Progress, counted
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.commands.parameters import Argument, Option, progress_on_stderr
from tljh.host.password_store import hash_password
from tljh.operations.user_changes import change_lists, everybody, keeps_no_passwords
from tljh.settings.derived import uses_first_use
from tljh.users.csv_file import Entry, read_roster
from tljh.users.first_passwords import FirstPasswords
from tljh.users.list_edits import ADMINS, ALLOWED, GROUPS, add_names

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class Imported:
    """Every line of the file and what became of it; exit code 1 when bad lines stopped it."""

    entries: tuple[Entry, ...]
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
        counted = f"{new} new, {known} there already, {invalid} invalid"
        if self.was_done:
            last = f"done: {counted}"
        elif self.is_dry_run:
            last = f"a try, nothing was changed: {counted}"
        else:
            last = f"nothing was changed: {counted}\nmend these lines, or add --skip-invalid"
        shown = self.entries
        if not self.is_dry_run and not self.was_done:
            shown = tuple(entry for entry in self.entries if entry.state == "invalid")
        return "\n".join([*(entry.as_text() for entry in shown), last])


def import_people(
    file: Annotated[str, Argument("FILE.csv", "Columns name, admin, groups, password.")],
    *,
    dry_run: Annotated[bool, Option("--dry-run", "Say what would become of each line.")] = False,
    skip_invalid: Annotated[
        bool, Option("--skip-invalid", "Import the good lines of a file with bad ones.")
    ] = False,
    as_json: bool = False,
) -> Imported:
    """Let everybody in a CSV file log in (`-` is standard input)."""
    _, paths, config, register = everybody()
    known = [name for name, one in register.people.items() if one.access == "listed"]
    shortest = SHORTEST_PASSWORD if uses_first_use(config) else 0
    entries = tuple(
        _unless_banned(entry, config) for entry in read_roster(_read(file), known, shortest)
    )
    if any(entry.password for entry in entries) and not uses_first_use(config):
        raise keeps_no_passwords(config)
    is_refused = any(entry.state == "invalid" for entry in entries) and not skip_invalid
    if dry_run or is_refused:
        return Imported(entries, dry_run, was_done=False)
    good = [entry for entry in entries if entry.state != "invalid"]
    progress = progress_on_stderr(as_json)
    change_lists(
        f"user import {Path(file).name}",
        lambda text: _with_everybody(text, good),
        passwords=_passwords(good, config, paths, progress),
        as_json=as_json,
    )
    return Imported(entries, is_dry_run=False, was_done=True)


def _read(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise TljhError(f"{file} cannot be read", why=error.strerror) from error


def _unless_banned(entry: Entry, config: Config) -> Entry:
    from dataclasses import replace

    if entry.name.lower() in config.users.banned:
        problem = f"is banned; first: sudo tljh user enable {entry.name}"
        return replace(entry, state="invalid", problem=problem)
    return entry


def _with_everybody(text: str, entries: Sequence[Entry]) -> str:
    text = add_names(text, ALLOWED, [one.name for one in entries if not one.is_admin])
    text = add_names(text, ADMINS, [one.name for one in entries if one.is_admin])
    for group in dict.fromkeys(group for one in entries for group in one.groups):
        members = [one.name for one in entries if group in one.groups]
        text = add_names(text, (*GROUPS, group), members)
    return text


def _passwords(
    entries: Sequence[Entry], config: Config, paths: Paths, progress: Progress
) -> list[FirstPasswords]:
    """First passwords of those who have one in the file; a hash takes 0.2 s, on every core."""
    given = [(one.name.lower(), one.password) for one in entries if one.password]
    if not given:
        return []
    with (
        progress.step(f"hash {counted(len(given), 'password')}"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        hashes = {}
        made = pool.map(hash_password, [word for _, word in given])
        for (name, _), hashed in zip(given, made, strict=True):
            hashes[name] = hashed
            progress.advance(len(hashes), len(given))
    return [FirstPasswords(paths.state_dir / PASSWORDS, hashes)]
