"""`tljh user list`, `show` and `export`: who there is, and what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.commands.parameters import NameArgument
from tljh.host.interface import HostReader
from tljh.hub.user_directory import Person, Register
from tljh.operations.user_changes import everybody, person_named
from tljh.users.csv_file import as_csv

ACCESS = {
    "listed": "in the configuration",
    "added": "added in the hub",
    "banned": "banned",
    "none": "no access",
}


NO_ANSWER = "note: the hub does not answer; who was added there, and servers, are not known"


@dataclass(frozen=True)
class People:
    """Everybody, by name."""

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
            return "nobody yet: sudo tljh user add NAME"
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )


@dataclass(frozen=True)
class Shown:
    """One person with all that is known."""

    person: Person
    hub_answers: bool
    home_bytes: int | None
    limit_bytes: int | None = None

    @property
    def notes(self) -> list[str]:
        return [] if self.hub_answers else [NO_ANSWER]

    def as_json(self) -> dict[str, Any]:
        return {
            **self.person.as_json(),
            "home_bytes": self.home_bytes,
            "disk_limit_bytes": self.limit_bytes,
        }

    def as_text(self) -> str:
        person = self.person
        size = "" if self.home_bytes is None else _size(self.home_bytes)
        if self.limit_bytes is not None:
            size += f" of {_size(self.limit_bytes)} that may be used"
        size = f" ({size})" if size else ""
        password = {True: "set", False: "not set yet", None: "kept elsewhere"}
        servers = ", ".join(name or "default" for name in person.servers)
        rows = (
            ("name", person.name),
            ("role", "administrator" if person.is_admin else "user"),
            ("access", ACCESS[person.access]),
            ("password", password[person.has_password]),
            ("servers", servers or "none running"),
            ("groups", ", ".join(person.groups) or "none of the configuration"),
            ("last seen", person.last_activity or "never"),
            ("account", (person.account or "not made yet") + " (locked)" * person.is_locked),
            ("home", f"{person.home}{size}" if person.home else "not made yet"),
        )
        return "\n".join(f"{label:<10} {value}" for label, value in rows)


def list_people() -> People:
    """Everybody the hub, the configuration or this machine knows."""
    return People(everybody()[3])


def show(name: NameArgument) -> Shown:
    """One person: role, access, servers, account, home and its size."""
    host, _, _, register = everybody()
    person = person_named(register, name)
    size = _bytes_in(host, person.home) if person.home else None
    user = host.user(person.account or "")
    quota = host.disk_quota(Path(user.home), user.uid) if user else None
    limit = quota.limit_bytes if quota else None
    return Shown(person, register.hub_answers, size, limit)


def _bytes_in(host: HostReader, home: str) -> int | None:
    shown = host.query(["du", "--summarize", "--one-file-system", "--block-size=1", home])
    number = shown.out.split("\t")[0]
    return int(number) if number.isdigit() else None


def _size(size_bytes: int) -> str:
    size: float = size_bytes
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@dataclass(frozen=True)
class Exported:
    """People who may log in, as `import` reads them."""

    people: tuple[Person, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"name": one.name, "admin": one.is_admin, "groups": list(one.groups)}
            for one in self.people
        ]

    def as_text(self) -> str:
        return as_csv((one.name, one.is_admin, one.groups) for one in self.people).rstrip()


def export() -> Exported:
    """A CSV file of everybody who may log in, as `tljh user import` reads it; no passwords."""
    people = everybody()[3].people.values()
    return Exported(tuple(one for one in people if one.access in ("listed", "added")))
