"""`tljh share add`, `list`, `remove`: folders that a group edits together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.account_names import account_name, is_acceptable
from tljh.base.errors import Exit, TljhError
from tljh.commands.parameters import Argument, Option, Summary
from tljh.host.accounts import USERS_GROUP, managed_accounts
from tljh.host.real import RealHost
from tljh.operations.user_changes import change_lists, everybody
from tljh.settings.yaml_edit import set_value, unset_value
from tljh.users.shared_folders import ROOT

FOLDERS = ("users", "shared_folders")


FolderArgument = Annotated[str, Argument("NAME", "Name of the folder.")]


LINK_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Shares:
    """The shared folders with their groups and who is in these."""

    folders: dict[str, tuple[str, tuple[str, ...]]]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "path": str(ROOT / name), "group": group, "members": list(members)}
            for name, (group, members) in self.folders.items()
        ]

    def as_text(self) -> str:
        if not self.folders:
            return "no folder is shared: sudo tljh share add NAME --group GROUP"
        lines = []
        for name, (group, members) in self.folders.items():
            shown = f"{len(members)} members" if len(members) > 8 else ", ".join(members)
            lines.append(f"{ROOT / name}  {group}: {shown or 'nobody'}")
        return "\n".join(lines)


def list_shares() -> Shares:
    """The shared folders, their groups and members."""
    host, _, config, _ = everybody()
    found = {}
    for name, group in config.users.shared_folders.items():
        known = host.group(group)
        members = set(known.members) if known else set()
        # Who never logged in has no account yet, and is in no group of the machine.
        listed = config.users.extra_user_groups.get(group, ())
        members |= {account_name(login) for login in listed if is_acceptable(login)}
        found[name] = (group, tuple(sorted(members)))
    return Shares(found)


def add(
    name: FolderArgument,
    *,
    group: Annotated[str, Option("--group", "Who shares it; without it, everybody.")] = USERS_GROUP,
    as_json: bool = False,
) -> Summary:
    """Make a folder in which a group reads and changes whatever one of them puts there."""
    path = ROOT / name
    change_lists(
        f"share add {name}",
        lambda text: set_value(text, (*FOLDERS, name), group),
        as_json=as_json,
    )
    linked = _link(RealHost(), path, group)
    lines = [f"{path} is shared by {group}"]
    if linked:
        lines.append(f"linked as ~/{name} for {', '.join(linked)}")
    lines.append(
        f"who joins later: sudo tljh user add NAME --group {group}"
        if group != USERS_GROUP
        else "everybody whose server has started once is in it"
    )
    note = "note: a server that runs already sees a new group after its next start"
    return Summary(
        tuple(lines),
        {"name": name, "path": str(path), "group": group, "linked": linked},
        (note,),
    )


def _link(host: RealHost, path: Path, group: str) -> list[str]:
    """Show the folder in the members' homes; done as themselves, as homes are theirs."""
    found = host.group(group)
    linked = []
    for user in managed_accounts(host):
        if found is None or user.name not in found.members:
            continue
        link = Path(user.home) / path.name
        if host.info(link) is not None:
            continue
        command = ["runuser", "-u", user.name, "--", "ln", "-s", "-n", str(path), str(link)]
        if host.run(command, timeout_s=LINK_TIMEOUT_S).ok:
            linked.append(user.name)
    return linked


def remove(name: FolderArgument, *, as_json: bool = False) -> Summary:
    """No longer look after a shared folder; what is in it stays."""
    _, _, config, _ = everybody()
    if name not in config.users.shared_folders:
        raise TljhError(
            f"no shared folder is called {name}",
            fix="see which there are: sudo tljh share list",
            exit_code=Exit.FAILED,
        )
    change_lists(
        f"share remove {name}",
        lambda text: unset_value(text, (*FOLDERS, name)),
        as_json=as_json,
    )
    path = ROOT / name
    kept = f"{path} is kept as it is; to delete it: sudo rm -r {path}"
    return Summary((kept,), {"name": name, "path": str(path)})
