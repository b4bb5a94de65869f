"""Ending the access of users: removing, banning, and ending a ban."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tljh.base.errors import Exit, TljhError
from tljh.base.interruptions import held_back
from tljh.base.progress import Progress
from tljh.host.home_archive import archive_home
from tljh.hub.user_directory import UserRecord
from tljh.operations.plugin_events import call_event
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_notes import warn_on_removing
from tljh.operations.user_passwords import forget_in_hub, make_forgotten_passwords
from tljh.settings.login_providers import find_provider
from tljh.users.list_edits import (
    ADMINS,
    ALLOWED,
    BANNED,
    add_names,
    read_names,
    remove_names,
)
from tljh.users.list_edits import remove_users as remove_from_lists


@dataclass(frozen=True)
class RemovedUser:
    """A user as they were before the removal; `archive` holds the deleted home directory."""

    user: UserRecord
    archive: Path | None
    has_managed_account: bool


@dataclass(frozen=True)
class RemovedUsers:
    """Users who were removed, in the order of their names on the command line."""

    users: tuple[RemovedUser, ...]
    notes: tuple[str, ...]


def remove_users(
    users: HubUsers, names: Sequence[str], progress: Progress, *, delete_home: bool = False
) -> RemovedUsers:
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
    records = [users.named(name) for name in names]
    logins = [record.name for record in records]
    # A signal rolls the change back or comes too late: no password of a removed user stays.
    with held_back():
        outcome = change_users(
            users,
            f"user remove {' '.join(logins)}",
            lambda text: remove_from_lists(text, logins),
            progress,
            removing=logins,
            more=make_forgotten_passwords(users, logins),
        )
        for login in logins:
            forget_in_hub(users, outcome.config, login)
    removed = []
    notes = _call_plugins(users, records)
    for record in records:
        archive = _archive(users, record) if delete_home else None
        removed.append(RemovedUser(record, archive, is_managed))
    return RemovedUsers(tuple(removed), (*warn_on_removing(outcome.config), *notes))


def _call_plugins(users: HubUsers, records: Sequence[UserRecord]) -> list[str]:
    """Call the plugins' hooks for removed users, before a home is deleted; return warnings."""
    return [
        f"warning: {failure.finding.as_note()}"
        for record in records
        if record.account is not None
        for failure in call_event(
            users.host, users.paths, "tljh_user_removed", {"username": record.account}
        )
    ]


def _archive(users: HubUsers, user: UserRecord) -> Path | None:
    if user.account is None or user.home is None:
        return None
    archives = users.paths.archived_homes
    return archive_home(users.host, user.account, Path(user.home), archives)


def disable_users(users: HubUsers, names: Sequence[str], progress: Progress) -> None:
    """Add users to users.banned, and apply it."""
    command = f"user disable {' '.join(names)}"
    change_users(users, command, lambda text: add_names(text, BANNED, names), progress)


def enable_users(users: HubUsers, names: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """Remove users from users.banned, apply it, and return their login names."""
    provider = find_provider(users.config.auth.type)
    logins = tuple(users.named(name).name for name in names)

    def edit(text: str) -> str:
        text = remove_names(text, BANNED, logins)
        listed = {name.lower() for path in (ALLOWED, ADMINS) for name in read_names(text, path)}
        # The ban removed users from the hub's own list, where its admin page had added them.
        # Only these authenticators use that list; so their users return through users.allowed.
        if provider is not None and provider.admits == "own":
            text = add_names(text, ALLOWED, [name for name in logins if name not in listed])
        return text

    change_users(users, f"user enable {' '.join(logins)}", edit, progress)
    return logins
