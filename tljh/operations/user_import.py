"""Importing a class from a CSV file, in one change."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from tljh.base.progress import Progress, counted
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.host.password_store import hash_password
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_passwords import no_passwords_here
from tljh.settings.derived import uses_first_use
from tljh.users.csv_file import ClassListEntry, read_roster
from tljh.users.first_passwords import FirstPasswords
from tljh.users.list_edits import ADMINS, ALLOWED, GROUPS, add_names
from tljh.users.power_groups import OPTION, power_groups


def read_entries(
    users: HubUsers, data: bytes, column: str | None = None, *, gives_root: bool = False
) -> tuple[ClassListEntry, ...]:
    """Parse a CSV file and return for each line whether its user is new, known or invalid.

    `column` is the heading of the column with the login names, where several can be it. Without
    `gives_root`, a user with a group that gives root is invalid.

    Raises TljhError for passwords that the configured authenticator cannot be given.
    """
    config = users.config
    listed = [name for name, user in users.register.people.items() if user.access == "listed"]
    shortest_password = SHORTEST_PASSWORD if uses_first_use(config) else 0
    entries = [
        _checked(users, entry, gives_root)
        for entry in read_roster(data, listed, shortest_password, column)
    ]
    if any(entry.password for entry in entries) and not uses_first_use(config):
        raise no_passwords_here(config)
    return tuple(entries)


def _checked(users: HubUsers, entry: ClassListEntry, gives_root: bool) -> ClassListEntry:
    problem = ""
    powerful = power_groups(entry.groups)
    if entry.name.lower() in users.config.users.banned:
        problem = f"is banned; first: sudo tljh user enable {shlex.quote(entry.name)}"
    elif powerful and not gives_root:
        problem = f"would become root by the group {powerful[0]}; if that is intended: {OPTION}"
    return replace(entry, state="invalid", problem=problem) if problem else entry


def import_entries(
    users: HubUsers, entries: Sequence[ClassListEntry], file_name: str, progress: Progress
) -> None:
    """Add the users of all valid entries to the lists, and apply it; `file_name` is for history."""
    valid = [entry for entry in entries if entry.state != "invalid"]
    change_users(
        users,
        f"user import {file_name}",
        lambda text: _with_entries(text, valid),
        progress,
        more=_first_passwords(users, valid, progress),
    )


def _with_entries(text: str, entries: Sequence[ClassListEntry]) -> str:
    text = add_names(text, ALLOWED, [entry.name for entry in entries if not entry.is_admin])
    text = add_names(text, ADMINS, [entry.name for entry in entries if entry.is_admin])
    for group in dict.fromkeys(group for entry in entries for group in entry.groups):
        members = [entry.name for entry in entries if group in entry.groups]
        text = add_names(text, (*GROUPS, group), members)
    return text


def _first_passwords(
    users: HubUsers, entries: Sequence[ClassListEntry], progress: Progress
) -> list[FirstPasswords]:
    """Hash the passwords of the file, on every core: each takes 0.2 s."""
    passwords = [(entry.name.lower(), entry.password) for entry in entries if entry.password]
    if not passwords:
        return []
    with (
        progress.step(f"hash {counted(len(passwords), 'password')}"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        hashes = {}
        results = pool.map(hash_password, [password for _, password in passwords])
        for (name, _), password_hash in zip(passwords, results, strict=True):
            hashes[name] = password_hash
            progress.advance(len(hashes), len(passwords))
    return [FirstPasswords(users.paths.passwords, hashes)]
