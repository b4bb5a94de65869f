"""`tljh share add`, `list`, `remove`: folders that the members of a group edit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from shlex import quote
from typing import Annotated, Any

from tljh.base.paths import Paths, get_paths
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.host.accounts import USERS_GROUP
from tljh.host.real import RealHost
from tljh.operations.shares import SharingGroup, add_share, read_shares, remove_share
from tljh.operations.user_changes import HubUsers, read_users

FolderArgument = Annotated[str, Argument("NAME", "Name of the folder.")]


# A longer list of members is printed as their number.
MAX_PRINTED_MEMBERS = 8


@dataclass(frozen=True)
class ShareList:
    """The shared folders by name, with their groups."""

    folders: Mapping[str, SharingGroup]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "path": str(Paths.shared_folders / name),
                "group": group.name,
                "members": list(group.members),
            }
            for name, group in self.folders.items()
        ]

    def as_text(self) -> str:
        if not self.folders:
            return "no folder is shared: sudo tljh share add NAME --group GROUP"
        lines = []
        for name, group in self.folders.items():
            members = ", ".join(group.members) or "no members"
            if len(group.members) > MAX_PRINTED_MEMBERS:
                members = f"{len(group.members)} members"
            lines.append(f"{Paths.shared_folders / name}  {group.name}: {members}")
        return "\n".join(lines)


def _read_users() -> HubUsers:
    return read_users(RealHost(), get_paths())


def list_shares() -> ShareList:
    """List the shared folders, their groups and their members."""
    return ShareList(read_shares(_read_users()))


def add(
    name: FolderArgument,
    *,
    group: Annotated[
        str | None,
        Option("--group", "The group. Without it: the current one, or all users for a new folder."),
    ] = None,
    as_json: bool = False,
) -> Summary:
    """Make a folder in which members of a group read and change each other's files."""
    group, linked = add_share(_read_users(), name, group, choose_progress_on_stderr(as_json))
    path = Paths.shared_folders / name
    lines = [f"{path} is shared by {group}"]
    if linked:
        lines.append(f"linked as ~/{name} for {', '.join(linked)}")
    lines.append(
        f"to add members: sudo tljh user add NAME --group {quote(group)}"
        if group != USERS_GROUP
        else "users become members when their server starts for the first time"
    )
    note = "note: a running server sees a new group after its next start"
    return Summary(
        tuple(lines),
        {"name": name, "path": str(path), "group": group, "linked": linked},
        (note,),
    )


def remove(name: FolderArgument, *, as_json: bool = False) -> Summary:
    """Stop managing a shared folder; the folder and its files stay."""
    remove_share(_read_users(), name, choose_progress_on_stderr(as_json))
    path = Paths.shared_folders / name
    line = f"{path} stays as it is; to delete it: sudo rm -r {quote(str(path))}"
    return Summary((line,), {"name": name, "path": str(path)})
