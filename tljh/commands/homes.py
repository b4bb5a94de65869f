"""`tljh homes`: the users' homes, and where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations import home_snapshots, homes


def move(
    directory: Annotated[str, Argument("DIRECTORY", "Where the homes will be, as /data/home.")],
    *,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask before servers stop.")] = False,
    as_json: bool = False,
) -> Summary:
    """Move all homes to another directory or disk, one user after the other, and keep the old."""
    host, paths = RealHost(), get_paths()
    target = Path(directory)
    planned = homes.plan_move(host, paths, target)
    data = {
        "directory": str(target),
        "homes": [
            {"account": each.account, "from": str(each.old), "size_bytes": each.size_bytes}
            for each in planned.homes
        ],
    }
    if not planned.homes and planned.current == target:
        return Summary((f"all homes are in {target}",), data)
    lines = planned.as_lines()
    if plan:
        return Summary(tuple(lines), data)
    if planned.homes:
        confirm("\n".join(lines), "Move them?", yes=yes)
    moved = homes.move_homes(host, paths, target, choose_progress_on_stderr(as_json))
    kept = [str(each) for each in moved.kept]
    lines = [f"{format_count(len(moved.accounts), 'home')} moved; new homes are made in {target}"]
    if kept:
        lines.append(f"as they were before: {', '.join(kept)}; delete them: sudo tljh homes clean")
    return Summary(tuple(lines), {**data, "moved": list(moved.accounts), "kept": kept})


def clean(
    *,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> Summary:
    """Delete the homes as they were before a move, which was kept."""
    host, paths = RealHost(), get_paths()
    kept = homes.list_kept_homes(host)
    if not kept:
        return Summary(("no move has kept anything",), {"removed": []})
    text = "\n".join(f"{directory}: {', '.join(names)}" for directory, names in kept.items())
    confirm(text, "Delete these copies? The homes that are in use stay.", yes=yes)
    removed = homes.remove_kept_homes(host, paths, choose_progress_on_stderr(as_json))
    lines = [f"deleted: {directory}" for directory in removed]
    return Summary(tuple(lines), {"removed": [str(each) for each in removed]})


def snapshot(*, as_json: bool = False) -> Summary:
    """Make a snapshot of all homes now, and delete the old ones that are not kept."""
    host, paths = RealHost(), get_paths()
    progress = choose_progress_on_stderr(as_json)
    directory, deleted = home_snapshots.take_snapshot(host, paths, progress)
    lines = [f"{directory} has all homes as they are now"]
    if deleted:
        lines.append(f"deleted: {format_count(len(deleted), 'old snapshot')}")
    return Summary(tuple(lines), {"snapshot": str(directory), "deleted": deleted})


def snapshots(*, as_json: bool = False) -> Summary:
    """List the snapshots of the homes."""
    listed = home_snapshots.read_snapshots(RealHost(), get_paths())
    paths = [str(listed.directory / name) for name in listed.names]
    lines = list(paths) or ["there are no snapshots"]
    if not listed.is_enabled:
        lines.append("by a timer: sudo tljh-config set homes.snapshots.enabled true; then reload")
    return Summary(tuple(lines), {"enabled": listed.is_enabled, "snapshots": paths})
