"""`tljh user prune`: users who have not been seen for long."""

from __future__ import annotations

from typing import Annotated

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.host.real import RealHost
from tljh.operations.user_changes import read_users
from tljh.operations.user_pruning import Pruning, find_inactive, parse_age
from tljh.operations.user_removals import remove_users

# Removed at a time: each batch is one change, which is kept or rolled back.
BATCH = 200


def prune(
    *,
    inactive: Annotated[
        str, Option("--inactive", "Without activity for so long: 2y, 6m, 26w, 90d.", "TIME")
    ] = "2y",
    dry_run: Annotated[bool, Option("--dry-run", "List them; change nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> Summary:
    """Remove users who have not been seen for long; homes, admins and running servers stay."""
    age = parse_age(inactive)
    users = read_users(RealHost(), get_paths())
    pruning = find_inactive(users, age)
    names = [user.name for user in pruning.users]
    lines = _describe(pruning)
    data = {
        "users": [
            {"name": user.name, "seen": user.seen.isoformat(), "home": user.home}
            for user in pruning.users
        ],
        "kept": pruning.kept,
        "removed": bool(names) and not dry_run,
    }
    if dry_run or not names:
        return Summary(tuple(lines), data)
    confirm("\n".join(lines), f"Remove {format_count(len(names), 'user')}?", yes=yes)
    progress = choose_progress_on_stderr(as_json)
    for start in range(0, len(names), BATCH):
        remove_users(users, names[start : start + BATCH], progress)
    removed = f"{format_count(len(names), 'user')} removed; accounts are locked and homes kept"
    return Summary((f"{removed}. To archive the homes: sudo tljh user archive",), data)


def _describe(pruning: Pruning) -> list[str]:
    lines = [
        f"{user.seen:%Y-%m-%d}  {user.name}" + (f"  (home kept: {user.home})" if user.home else "")
        for user in pruning.users
    ]
    stay = [f"{count} {reason}" for reason, count in sorted(pruning.kept.items())]
    if stay:
        lines.append(f"inactive, but kept: {', '.join(stay)}")
    return lines or ["no user has been inactive for so long"]
