"""Adding users: into the lists, with first passwords or claim links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.operations.converge import Outcome
from tljh.operations.public_address import claim_link
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_notes import notes_on_adding, notes_on_sign_ups
from tljh.operations.user_passwords import first_passwords, new_password
from tljh.users.claims import claim_file, read_claim
from tljh.users.list_edits import ADMINS, ALLOWED, GROUPS, add_names
from tljh.users.power_groups import refuse_power_groups


@dataclass(frozen=True)
class Addition:
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
    keeps_password: bool
    password: str | None
    claim_link: str | None


@dataclass(frozen=True)
class Added:
    """Users who were added, in the order of their names on the command line."""

    users: tuple[AddedUser, ...]
    notes: tuple[str, ...]


def add_users(users: HubUsers, addition: Addition, progress: Progress) -> Added:
    """Add users to users.allowed or users.admin and to groups, and apply it.

    Raises TljhError if a user is banned, has a password already where one is given, or would get
    a group that gives root without `gives_root`.
    """
    refuse_power_groups(addition.groups, allowed=addition.gives_root)
    config, names = users.config, addition.names
    people = users.register.people
    for name in names:
        person = people.get(name.lower())
        if person and person.access == "banned":
            raise TljhError(f"{name} is banned", fix=f"sudo tljh user enable {name}")
    with_password = {person.name for person in people.values() if person.has_password}
    passwords = _passwords(addition, with_password)
    resources = first_passwords(users, passwords)

    def edit(text: str) -> str:
        text = add_names(text, ADMINS if addition.is_admin else ALLOWED, names)
        for group in addition.groups:
            text = add_names(text, (*GROUPS, group), names)
        return text

    notes = notes_on_sign_ups(config, users.paths, names, is_admin=addition.is_admin)
    outcome = change_users(users, f"user add {' '.join(names)}", edit, progress, more=resources)
    generated = passwords if addition.generates_passwords else {}
    added = []
    for name in names:
        person = people.get(name.lower())
        added.append(
            AddedUser(
                name=name,
                was_listed=person is not None and person.access == "listed",
                keeps_password=addition.generates_passwords and name.lower() in with_password,
                password=generated.get(name.lower()),
                claim_link=_claim_link(users, outcome, name.lower()),
            )
        )
    return Added(tuple(added), notes + notes_on_adding(config, outcome.config))


def _passwords(addition: Addition, with_password: set[str]) -> Mapping[str, str]:
    """Return the first passwords to store, by lower-case login name."""
    if addition.password is not None:
        (name,) = addition.names
        if name.lower() in with_password:
            raise TljhError(
                f"{name} has a password already", fix=f"sudo tljh user reset-password {name}"
            )
        return {name.lower(): addition.password}
    if not addition.generates_passwords:
        return {}
    names = (name.lower() for name in addition.names)
    return {name: new_password() for name in names if name not in with_password}


def _claim_link(users: HubUsers, outcome: Outcome, name: str) -> str | None:
    claim = read_claim(users.host.read(claim_file(users.paths.claims_dir, name)) or b"")
    if claim is None or name not in outcome.config.users.admin:
        return None
    return claim_link(outcome.config, users.host, claim)
