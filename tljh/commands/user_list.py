"""`tljh user list`, `show` and `export`: the users of the hub."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tljh.base.paths import get_paths
from tljh.commands.parameters import NameArgument
from tljh.host.accounts import ADMINS_GROUP
from tljh.host.power_groups import find_power_groups, read_memberships
from tljh.host.real import RealHost
from tljh.hub.user_directory import UserDirectory, UserRecord
from tljh.operations.user_changes import HubUsers, read_users
from tljh.operations.user_details import UserDetails, read_user_details
from tljh.users.csv_file import format_csv

ACCESS = {
    "listed": "in the configuration",
    "added": "added in the hub",
    "banned": "banned",
    "none": "no access",
}

PASSWORD = {True: "set", False: "not set yet", None: "kept elsewhere"}


NO_ANSWER = "note: the hub does not answer: servers, and users added in the hub, are missing here"


@dataclass(frozen=True)
class UserList:
    """All users, by name; `powers` are the groups that give root of each account that has one."""

    directory: UserDirectory
    powers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        return [] if self.directory.hub_answers else [NO_ANSWER]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {**user.as_json(), "groups_giving_root": _find_powers(user, self.powers)}
            for user in self.directory.users.values()
        ]

    def as_text(self) -> str:
        header = ("NAME", "ROLE", "ACCESS", "PASSWORD", "SERVERS", "LAST SEEN", "ACCOUNT", "GROUPS")
        rows = [header]
        for user in self.directory.users.values():
            account = user.account or "-"
            rows.append(
                (
                    user.name,
                    "admin" if user.is_admin else "user",
                    ACCESS[user.access],
                    PASSWORD[user.has_password],
                    str(len(user.servers)) if user.servers else "-",
                    user.last_activity[:16].replace("T", " ") or "never",
                    f"{account} (locked)" if user.is_locked else account,
                    _format_groups(user, self.powers) or "-",
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
    powers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def notes(self) -> list[str]:
        return [] if self.hub_answers else [NO_ANSWER]

    def as_json(self) -> dict[str, Any]:
        return {
            **self.details.user.as_json(),
            "groups_giving_root": _find_powers(self.details.user, self.powers),
            "home_bytes": self.details.home_bytes,
            "disk_limit_bytes": self.details.limit_bytes,
        }

    def as_text(self) -> str:
        user = self.details.user
        servers = ", ".join(name or "default" for name in user.servers)
        rows = (
            ("name", user.name),
            ("role", "admin" if user.is_admin else "user"),
            ("access", ACCESS[user.access]),
            ("password", PASSWORD[user.has_password]),
            ("servers", servers or "none running"),
            ("groups", _format_groups(user, self.powers) or "none in the configuration"),
            ("last seen", user.last_activity or "never"),
            ("account", (user.account or "not created yet") + " (locked)" * user.is_locked),
            ("home", self._home(user) if user.home else "not created yet"),
        )
        return "\n".join(f"{label:<10} {value}" for label, value in rows)

    def _home(self, user: UserRecord) -> str:
        size = "" if self.details.home_bytes is None else _format_size(self.details.home_bytes)
        if self.details.limit_bytes is not None:
            size += f" of at most {_format_size(self.details.limit_bytes)}"
        return f"{user.home} ({size})" if size else str(user.home)


def _format_size(size_bytes: int) -> str:
    size: float = size_bytes
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


@dataclass(frozen=True)
class UserExport:
    """Users who may log in, as `tljh user import` reads them."""

    users: tuple[UserRecord, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"name": user.name, "admin": user.is_admin, "groups": list(user.groups)}
            for user in self.users
        ]

    def as_text(self) -> str:
        rows = ((user.name, user.is_admin, user.groups) for user in self.users)
        return format_csv(rows).rstrip()


def _read_users() -> HubUsers:
    return read_users(RealHost(), get_paths())


def list_users() -> UserList:
    """List every user that the hub, the configuration or this machine has."""
    users = _read_users()
    return UserList(users.directory, read_memberships(users.host))


def show(name: NameArgument) -> UserPage:
    """Print one user: role, access, servers, account, the home directory and its size."""
    users = _read_users()
    details = read_user_details(users, name)
    return UserPage(details, users.directory.hub_answers, read_memberships(users.host))


def export() -> UserExport:
    """Print every user who may log in as a CSV file for `tljh user import`, without passwords."""
    users = _read_users().directory.users.values()
    return UserExport(tuple(user for user in users if user.access in ("listed", "added")))


def _format_groups(user: UserRecord, powers: Mapping[str, tuple[str, ...]]) -> str:
    """Return a user's groups, those that give root marked, wherever they come from."""
    powerful = _find_powers(user, powers)
    groups = dict.fromkeys((*user.groups, *powerful))
    return ", ".join(f"{name} (gives root)" if name in powerful else name for name in groups)


def _find_powers(user: UserRecord, powers: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Return the groups that give a user root, but for that of the hub's admins."""
    names = {*find_power_groups(user.groups), *powers.get(user.account or "", ())}
    return sorted(names - ({ADMINS_GROUP} if user.is_admin else set()))
