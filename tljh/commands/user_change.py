"""`tljh user add`, `remove`, `disable`, `enable`, `reset-password`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.commands.parameters import (
    GivesRootOption,
    NameArgument,
    NamesArgument,
    Option,
    Summary,
    choose_progress_on_stderr,
)
from tljh.host.real import RealHost
from tljh.hub.user_directory import UserRecord
from tljh.operations.user_additions import AddedUser, UsersToAdd, add_users
from tljh.operations.user_changes import HubUsers, read_users
from tljh.operations.user_passwords import make_password
from tljh.operations.user_passwords import reset_password as reset_password_of
from tljh.operations.user_removals import disable_users, enable_users, remove_users

StdinOption = Annotated[bool, Option("--stdin", "Read the password from standard input.")]


def _read_users() -> HubUsers:
    return read_users(RealHost(), get_paths())


def _read_password() -> str:
    """Read one line of standard input. Raises TljhError for a password that is too short."""
    password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST_PASSWORD:
        raise TljhError(
            f"the password on standard input has less than {SHORTEST_PASSWORD} characters",
            exit_code=Exit.USAGE,
        )
    return password


def add(
    names: NamesArgument,
    *,
    admin: Annotated[bool, Option("--admin", "Make them admins.")] = False,
    group: Annotated[
        list[str] | None, Option("--group", "A Linux group to add them to; may be repeated.")
    ] = None,
    generate: Annotated[
        bool, Option("--generate", "Generate first passwords and print them.")
    ] = False,
    stdin: StdinOption = False,
    gives_root: GivesRootOption = False,
    as_json: bool = False,
) -> Summary:
    """Add users to users.allowed or users.admin, and apply it."""
    if stdin and len(names) > 1:
        raise TljhError("--stdin gives one password, for one name", exit_code=Exit.USAGE)
    addition = UsersToAdd(
        names=tuple(names),
        is_admin=admin,
        groups=tuple(group or ()),
        generates_passwords=generate and not stdin,
        password=_read_password() if stdin else None,
        gives_root=gives_root,
    )
    added = add_users(_read_users(), addition, choose_progress_on_stderr(as_json))
    data = [
        {"name": user.name.lower(), "password": user.password, "claim": user.claim_link}
        for user in added.users
    ]
    lines = tuple(_describe_addition(user) for user in added.users)
    return Summary(lines, {"users": data}, added.notes)


def _describe_addition(user: AddedUser) -> str:
    if user.stays_admin:
        line = f"{user.name} is an admin already, and stays one"
    else:
        line = f"{user.name} may log in" + (" (as before)" if user.was_listed else "")
    if user.password:
        line += f"; first password: {user.password}"
    if user.claim_link:
        line += f"; claim link, to set the password once: {user.claim_link}"
    return line + ("; keeps the current password" if user.keeps_password else "")


def remove(
    names: NamesArgument,
    *,
    delete_home: Annotated[
        bool, Option("--delete-home", "Archive the home directory, then delete it.")
    ] = False,
    as_json: bool = False,
) -> Summary:
    """Remove users: login, servers, tokens and password end; the account is locked."""
    removed = remove_users(
        _read_users(), names, choose_progress_on_stderr(as_json), delete_home=delete_home
    )
    lines = tuple(
        describe_removal(removal.user, removal.archive, is_managed=removal.has_managed_account)
        for removal in removed.users
    )
    data = [
        {"name": removal.user.name, "archive": str(removal.archive) if removal.archive else None}
        for removal in removed.users
    ]
    return Summary(lines, {"users": data}, removed.notes)


def describe_removal(user: UserRecord, archive: Path | None, *, is_managed: bool) -> str:
    """Return what a removal did to a user's account and home directory."""
    if user.account is None:
        return f"{user.name} is removed; there was no account yet"
    if not is_managed:
        return f"{user.name} is removed; the account is the machine's own and stays as it is"
    if archive is not None:
        return f"{user.name} is removed, the account locked, the home archived: {archive}"
    home = f", the home kept: {user.home}" if user.home else ""
    return f"{user.name} is removed, the account locked{home}"


def disable(names: NamesArgument, *, as_json: bool = False) -> Summary:
    """Ban users: login, servers and tokens end, the account is locked; `enable` ends the ban."""
    disable_users(_read_users(), names, choose_progress_on_stderr(as_json))
    lines = tuple(f"{name} is disabled; files and passwords stay" for name in names)
    return Summary(lines, {"users": [{"name": name} for name in names]})


def enable(names: NamesArgument, *, as_json: bool = False) -> Summary:
    """End a ban: users may log in again, and their accounts are unlocked."""
    enabled = enable_users(_read_users(), names, choose_progress_on_stderr(as_json))
    lines = tuple(f"{name} may log in again" for name in enabled)
    return Summary(lines, {"users": [{"name": name} for name in enabled]})


def reset_password(
    name: NameArgument,
    *,
    stdin: StdinOption = False,
    log_out: Annotated[bool, Option("--log-out", "Also end tokens and servers.")] = False,
    as_json: bool = False,
) -> Summary:
    """Give a user a new password: a generated one, which is printed, or one from --stdin."""
    password = _read_password() if stdin else make_password()
    progress = choose_progress_on_stderr(as_json)
    login = reset_password_of(_read_users(), name, password, progress, log_out=log_out)
    printed = "" if stdin else f": {password}"
    ended = "sessions, tokens and servers have" if log_out else "sessions in browsers have"
    return Summary(
        (f"{login} has a new password{printed}; {ended} ended",),
        {"name": login, "password": None if stdin else password, "logged_out": log_out},
    )
