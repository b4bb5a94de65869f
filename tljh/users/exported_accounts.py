"""Accounts of users as data: what a restore on another machine needs to make them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tljh.host.accounts import FIRST_USER_UID, find_managed_accounts, is_expired
from tljh.host.interface import HostReader

_SHADOW = Path("/etc/shadow")


@dataclass(frozen=True)
class ExportedAccount:
    """An account of a user; `password` is the entry of /etc/shadow, None where there is none.

    `groups` are the names of its groups but its own; `is_locked`: the user was removed.
    """

    name: str
    uid: int
    gid: int
    comment: str
    home: str
    shell: str
    groups: tuple[str, ...] = ()
    password: str | None = None
    is_locked: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExportedAccount:
        return cls(**{**data, "groups": tuple(data["groups"])})


def export_accounts(host: HostReader) -> list[ExportedAccount]:
    """Return the accounts of all hub users, those of removed ones included."""
    passwords = _read_passwords(host)
    accounts = []
    for user in find_managed_accounts(host):
        entry = host.user(user.name) or user
        accounts.append(
            ExportedAccount(
                name=user.name,
                uid=user.uid,
                gid=user.gid,
                comment=user.comment,
                home=user.home,
                shell=user.shell,
                groups=tuple(sorted(entry.groups - {user.name})),
                password=passwords.get(user.name),
                is_locked=is_expired(host, user.name),
            )
        )
    return accounts


def export_groups(host: HostReader, accounts: list[ExportedAccount]) -> dict[str, int]:
    """Return the numbers of the groups of users that belong to no package, by name."""
    names = {name for account in accounts for name in account.groups}
    groups = (host.group(name) for name in sorted(names))
    return {group.name: group.gid for group in groups if group and group.gid >= FIRST_USER_UID}


def _read_passwords(host: HostReader) -> dict[str, str]:
    passwords = {}
    for line in (host.read(_SHADOW) or b"").decode(errors="replace").splitlines():
        name, _, rest = line.partition(":")
        password = rest.partition(":")[0]
        # "!" and "*" are entries without a password.
        if password.strip("!*"):
            passwords[name] = password
    return passwords
