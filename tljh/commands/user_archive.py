"""`tljh user archive`: homes of users who left."""

from __future__ import annotations

from typing import Annotated

from tljh.base.paths import get_paths
from tljh.base.sizes import format_size
from tljh.commands.parameters import Argument, Summary
from tljh.host.real import RealHost
from tljh.operations.home_archives import archive_homes, list_archives, list_left_homes
from tljh.operations.user_changes import read_users


def archive(
    names: Annotated[
        list[str] | None, Argument("NAME", "Removed users; without a name, a list.")
    ] = None,
) -> Summary:
    """Archive the homes of removed users and delete them; without a name, list what there is."""
    host, paths = RealHost(), get_paths()
    users = read_users(host, paths)
    new = archive_homes(users, names or [])
    archives = list_archives(host, paths)
    left = list_left_homes(users) if not names else []
    lines = [f"archived: {path}" for path in new]
    if not names:
        lines += [f"{format_size(each.size_bytes):>8}  {each.path}" for each in archives]
        lines += [f"a home without access: {name}" for name in left]
    data = {
        "archived": [str(path) for path in new],
        "archives": [{"path": str(each.path), "size_bytes": each.size_bytes} for each in archives],
        "left": left,
    }
    return Summary(tuple(lines or ["there is no archive, and no home of a removed user"]), data)
