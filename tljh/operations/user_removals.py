"""Ending the access of users: removing, banning, and ending a ban."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.progress import Progress
from tljh.host.home_archive import archive_home
from tljh.hub.user_directory import Person
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_notes import notes_on_removing
from tljh.operations.user_passwords import forget_in_hub, forgotten_passwords
from tljh.settings.login_providers import provider_of
from tljh.users.list_edits import (
    ADMINS,
    ALLOWED,
    BANNED,
    add_names,
    names_at,
    remove_names,
)
from tljh.users.list_edits import remove_users as remove_from_lists


@dataclass(frozen=True)
class RemovedUser:
    """A user as they were before the removal; `archive` holds the deleted home directory."""

    person: Person
    archive: Path | None
    has_managed_account: bool


@dataclass(frozen=True)
class Removed:
    """Users who were removed, in the order of their names on the command line."""

    users: tuple[RemovedUser, ...]
    notes: tuple[str, ...]


def remove_users(
    users: HubUsers, names: Sequence[str], progress: Progress, *, delete_home: bool = False
) -> Removed:
    """Remove users from every list and apply it; end sessions, tokens, servers and passwords.

    `delete_home` archives the home directories, then deletes them. Raises TljhError for unknown
    users, and for `delete_home` where accounts are the machine's own.
    """
    is_managed = users.config.users.accounts == "managed"
    if delete_home and not is_managed:
        raise TljhError(
            "home directories of the machine's own accounts are not deleted",
            why="users.accounts is existing",
            fix="leave out --delete-home; userdel --remove deletes an account and its home",
            exit_code=Exit.USAGE,
        )
    people = [users.named(name) for name in names]
    logins = [person.name for person in people]
    outcome = change_users(
        users,
        f"user remove {' '.join(logins)}",
        lambda text: remove_from_lists(text, logins),
        progress,
        removing=logins,
        more=forgotten_passwords(users, logins),
    )
    removed = []
    for person in people:
        forget_in_hub(users, outcome.config, person.name)
        archive = _archive(users, person) if delete_home else None
        removed.append(RemovedUser(person, archive, is_managed))
    return Removed(tuple(removed), notes_on_removing(outcome.config))


def _archive(users: HubUsers, person: Person) -> Path | None:
    if person.account is None or person.home is None:
        return None
    archives = users.paths.archived_homes
    return archive_home(users.host, person.account, Path(person.home), archives)


def disable_users(users: HubUsers, names: Sequence[str], progress: Progress) -> None:
    """Add users to users.banned, and apply it."""
    command = f"user disable {' '.join(names)}"
    change_users(users, command, lambda text: add_names(text, BANNED, names), progress)


def enable_users(users: HubUsers, names: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """Remove users from users.banned, apply it, and return their login names."""
    provider = provider_of(users.config.auth.type)
    logins = tuple(users.named(name).name for name in names)

    def edit(text: str) -> str:
        text = remove_names(text, BANNED, logins)
        listed = {name.lower() for path in (ALLOWED, ADMINS) for name in names_at(text, path)}
        # The ban removed users from the hub's own list, where its admin page had added them.
        # Only these authenticators use that list; so their users return through users.allowed.
        if provider is not None and provider.admits == "own":
            text = add_names(text, ALLOWED, [name for name in logins if name not in listed])
        return text

    change_users(users, f"user enable {' '.join(logins)}", edit, progress)
    return logins
