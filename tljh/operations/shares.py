"""Shared folders: listing, adding and removing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.accounts import USERS_GROUP, find_account_name, find_managed_accounts
from tljh.host.interface import Host
from tljh.operations.user_changes import HubUsers, change_users
from tljh.settings.declaration import KeyPath
from tljh.settings.yaml_edit import set_value, unset_value

FOLDERS: KeyPath = ("users", "shared_folders")


LINK_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class SharingGroup:
    """The group that shares a folder; `members` are accounts, existing and expected ones."""

    name: str
    members: tuple[str, ...]


def read_shares(users: HubUsers) -> Mapping[str, SharingGroup]:
    """Return the shared folders by name."""
    groups = {}
    for name, group in users.config.users.shared_folders.items():
        entry = users.host.group(group)
        members = set(entry.members) if entry else set()
        # Before the first login a user has no account, so is in no group of the machine yet.
        listed = users.config.users.extra_user_groups.get(group, ())
        accounts = (find_account_name(users.host, login) for login in listed)
        members |= {account for account in accounts if account}
        groups[name] = SharingGroup(group, tuple(sorted(members)))
    return groups


def add_share(
    users: HubUsers, name: str, group: str | None, progress: Progress
) -> tuple[str, list[str]]:
    """Share a folder with a group; return the group and the accounts whose home links it now.

    Without `group`, a folder that exists keeps its group; a new one is for every user.
    """
    group = group or users.config.users.shared_folders.get(name, USERS_GROUP)
    change_users(
        users,
        f"share add {name}",
        lambda text: set_value(text, (*FOLDERS, name), group),
        progress,
    )
    return group, _get_link(users.host, Paths.shared_folders / name, group)


def _get_link(host: Host, folder: Path, group: str) -> list[str]:
    """Link the folder in the home directories of the group's members.

    The home directories belong to users, who could redirect a write of root by a symbolic link.
    So each link is made with the rights of its user.
    """
    entry = host.group(group)
    linked = []
    for account in find_managed_accounts(host):
        if entry is None or account.name not in entry.members:
            continue
        link = Path(account.home) / folder.name
        if host.info(link) is not None:
            continue
        # In another session: the user's process could otherwise type into the admin's terminal.
        command = [
            "setsid",
            "--wait",
            "runuser",
            "-u",
            account.name,
            "--",
            "ln",
            "-s",
            "-n",
            str(folder),
            str(link),
        ]
        if host.run(command, timeout_s=LINK_TIMEOUT_S).ok:
            linked.append(account.name)
    return linked


def remove_share(users: HubUsers, name: str, progress: Progress) -> None:
    """Stop managing a shared folder; its files stay. Raises TljhError for an unknown name."""
    if name not in users.config.users.shared_folders:
        raise TljhError(
            f"there is no shared folder {name}",
            fix="list them: sudo tljh share list",
        )
    change_users(
        users,
        f"share remove {name}",
        lambda text: unset_value(text, (*FOLDERS, name)),
        progress,
    )
