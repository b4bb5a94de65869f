"""Adding users: into the lists, with first passwords or claim links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.host.power_groups import refuse_power_groups
from tljh.operations.converge import Outcome
from tljh.operations.public_address import format_claim_link
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_notes import (
    find_without_password,
    warn_of_sign_ups,
    warn_on_adding,
    warn_without_password,
)
from tljh.operations.user_passwords import make_first_passwords, make_password
from tljh.users.claims import claim_file, read_claim
from tljh.users.list_edits import ADMINS, ALLOWED, GROUPS, add_names


@dataclass(frozen=True)
class UsersToAdd:
    """Users to add. `password` is for a single name; `generates_passwords` for any number."""

    names: tuple[str, ...]
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    generates_passwords: bool = False
    password: str | None = None
    gives_root: bool = False


@dataclass(frozen=True)
class AddedUser:
    """A user who may log in now; `password` is a generated one, to be handed over."""

    name: str
    was_listed: bool
    stays_admin: bool
    keeps_password: bool
    password: str | None
    claim_link: str | None


@dataclass(frozen=True)
class AddedUsers:
    """Users who were added, in the order of their names on the command line."""

    users: tuple[AddedUser, ...]
    notes: tuple[str, ...]


def add_users(users: HubUsers, addition: UsersToAdd, progress: Progress) -> AddedUsers:
    """Add users to users.allowed or users.admin and to groups, and apply it.

    Raises TljhError if a user is banned, has a password already where one is given, or would get
    a group that gives root without `gives_root`.
    """
    refuse_power_groups(users.host, addition.groups, allowed=addition.gives_root)
    config, names = users.config, addition.names
    records = users.directory.users
    for name in names:
        record = records.get(name.lower())
        if record and record.access == "banned":
            raise TljhError(f"{name} is banned", fix=f"sudo tljh user enable {quote(name)}")
    with_password = {record.name for record in records.values() if record.has_password}
    passwords = _make_passwords(addition, with_password)
    resources = make_first_passwords(users, passwords)
    # An admin may log in without being in users.allowed. An entry there would outlive the admin
    # rights without a word, so none is made.
    admins = {name.lower() for name in config.users.admin}
    new_names = names if addition.is_admin else [n for n in names if n.lower() not in admins]

    def edit(text: str) -> str:
        text = add_names(text, ADMINS if addition.is_admin else ALLOWED, new_names)
        for group in addition.groups:
            text = add_names(text, (*GROUPS, group), names)
        return text

    notes = warn_of_sign_ups(config, users.paths, names, is_admin=addition.is_admin)
    outcome = change_users(users, f"user add {' '.join(names)}", edit, progress, more=resources)
    generated = passwords if addition.generates_passwords else {}
    added = []
    for name in names:
        record = records.get(name.lower())
        added.append(
            AddedUser(
                name=name,
                was_listed=record is not None and record.access == "listed",
                stays_admin=name not in new_names,
                keeps_password=addition.generates_passwords and name.lower() in with_password,
                password=generated.get(name.lower()),
                claim_link=_format_claim_link(users, outcome, name.lower()),
            )
        )
    notes += warn_on_adding(config, outcome.config)
    open_names = [name for name in find_without_password(users, names) if name not in passwords]
    return AddedUsers(tuple(added), notes + warn_without_password(users, open_names))


def _make_passwords(addition: UsersToAdd, with_password: set[str]) -> Mapping[str, str]:
    """Return the first passwords to store, by lower-case login name."""
    if addition.password is not None:
        (name,) = addition.names
        if name.lower() in with_password:
            raise TljhError(
                f"{name} has a password already",
                fix=f"sudo tljh user reset-password {quote(name)}",
            )
        return {name.lower(): addition.password}
    if not addition.generates_passwords:
        return {}
    names = (name.lower() for name in addition.names)
    return {name: make_password() for name in names if name not in with_password}


def _format_claim_link(users: HubUsers, outcome: Outcome, name: str) -> str | None:
    claim = read_claim(users.host.read(claim_file(users.paths.claims_dir, name)) or b"")
    if claim is None or name not in outcome.config.users.admin:
        return None
    return format_claim_link(outcome.config, users.host, claim)
