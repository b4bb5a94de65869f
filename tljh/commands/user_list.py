"""`tljh user list`, `show` and `export`: the users of the hub."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tljh.base.paths import paths_from_environment
from tljh.commands.parameters import NameArgument
from tljh.host.real import RealHost
from tljh.hub.user_directory import Person, Register
from tljh.operations.user_changes import HubUsers, read_users
from tljh.operations.user_details import UserDetails, user_details
from tljh.users.csv_file import as_csv
from tljh.users.power_groups import power_groups

ACCESS = {
    "listed": "in the configuration",
    "added": "added in the hub",
    "banned": "banned",
    "none": "no access",
}


NO_ANSWER = "note: the hub does not answer: servers, and users added in the hub, are missing here"


@dataclass(frozen=True)
class UserList:
    """All users, by name."""

    register: Register

    @property
    def notes(self) -> list[str]:
        return [] if self.register.hub_answers else [NO_ANSWER]

    def as_json(self) -> list[dict[str, Any]]:
        return [person.as_json() for person in self.register.people.values()]

    def as_text(self) -> str:
        rows = [("NAME", "ROLE", "ACCESS", "SERVERS", "LAST SEEN", "ACCOUNT")]
        for person in self.register.people.values():
            account = person.account or "-"
            rows.append(
                (
                    person.name,
                    "admin" if person.is_admin else "user",
                    ACCESS[person.access],
                    str(len(person.servers)) if person.servers else "-",
                    person.last_activity[:16].replace("T", " ") or "never",
                    f"{account} (locked)" if person.is_locked else account,
                )
            )
        if len(rows) == 1:
            return "no users yet: sudo tljh user add NAME"
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


@dataclass(frozen=True)
class UserPage:
    """One user in detail."""

    details: UserDetails
    hub_answers: bool

    @property
    def notes(self) -> list[str]:
        return [] if self.hub_answers else [NO_ANSWER]

    def as_json(self) -> dict[str, Any]:
        return {
            **self.details.person.as_json(),
            "home_bytes": self.details.home_bytes,
            "disk_limit_bytes": self.details.limit_bytes,
        }

    def as_text(self) -> str:
        person = self.details.person
        password = {True: "set", False: "not set yet", None: "kept elsewhere"}
        servers = ", ".join(name or "default" for name in person.servers)
        rows = (
            ("name", person.name),
            ("role", "admin" if person.is_admin else "user"),
            ("access", ACCESS[person.access]),
            ("password", password[person.has_password]),
            ("servers", servers or "none running"),
            ("groups", _as_text(person.groups) or "none in the configuration"),
            ("last seen", person.last_activity or "never"),
            ("account", (person.account or "not created yet") + " (locked)" * person.is_locked),
            ("home", self._home(person) if person.home else "not created yet"),
        )
        return "\n".join(f"{label:<10} {value}" for label, value in rows)

    def _home(self, person: Person) -> str:
        size = "" if self.details.home_bytes is None else _size(self.details.home_bytes)
        if self.details.limit_bytes is not None:
            size += f" of at most {_size(self.details.limit_bytes)}"
        return f"{person.home} ({size})" if size else str(person.home)


def _size(size_bytes: int) -> str:
    size: float = size_bytes
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@dataclass(frozen=True)
class UserExport:
    """Users who may log in, as `tljh user import` reads them."""

    people: tuple[Person, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"name": person.name, "admin": person.is_admin, "groups": list(person.groups)}
            for person in self.people
        ]

    def as_text(self) -> str:
        rows = ((person.name, person.is_admin, person.groups) for person in self.people)
        return as_csv(rows).rstrip()


def _users() -> HubUsers:
    return read_users(RealHost(), paths_from_environment())


def list_users() -> UserList:
    """List every user that the hub, the configuration or this machine has."""
    return UserList(_users().register)


def show(name: NameArgument) -> UserPage:
    """Print one user: role, access, servers, account, the home directory and its size."""
    users = _users()
    return UserPage(user_details(users, name), users.register.hub_answers)


def export() -> UserExport:
    """Print every user who may log in as a CSV file for `tljh user import`, without passwords."""
    people = _users().register.people.values()
    return UserExport(tuple(person for person in people if person.access in ("listed", "added")))


def _as_text(groups: Iterable[str]) -> str:
    powerful = power_groups(groups)
    return ", ".join(f"{name} (gives root)" if name in powerful else name for name in groups)
