"""`tljh restore`: bring parts of a backup back on a machine whose hub runs."""

from __future__ import annotations

from typing import Annotated

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations import restore as operations
from tljh.operations.converge import work_out


def restore(
    *,
    user: Annotated[
        str | None,
        Option("--user", "Files of this user, into a new directory of the home.", "NAME"),
    ] = None,
    path: Annotated[
        str, Option("--path", "With --user: a path in the home; without it, all.", "PATH")
    ] = "",
    configuration: Annotated[
        bool, Option("--config", "config.yaml and the drop-ins, and apply them.")
    ] = False,
    database: Annotated[bool, Option("--database", "The hub's database.")] = False,
    snapshot: Annotated[
        str | None, Option("--snapshot", "Another backup than the newest.", "ID")
    ] = None,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Restore parts of a backup: a user's files, the configuration, or the database."""
    _require_choice(user, path, configuration or database)
    host, paths = RealHost(), get_paths()
    progress = choose_progress_on_stderr(as_json)
    opened = operations.open_backup(host, paths, snapshot)
    name, time = opened.snapshot.id, opened.snapshot.time[:16].replace("T", " ")
    if user is not None:
        target = operations.restore_files(host, paths, opened, user, path, progress)
        text = f"restored from backup {name} ({time}): {target}"
        return Summary((text,), {"backup": name, "path": str(target)})
    request = operations.make_restore_request(
        host, paths, opened, configuration=configuration, database=database
    )
    planned = PlannedChange(work_out(host, paths, request).plan)
    if plan:
        return planned
    warning = "users and tokens made since then are lost" if database else "edits since then go"
    confirm(planned.as_text(), f"Go back to the backup of {time}? ({warning})", yes=yes)
    outcome = operations.restore_parts(host, paths, request, progress)
    text = f"restored from backup {name} ({time})"
    if outcome.number is None:
        text = f"nothing differs from backup {name} ({time})"
    return Summary((text,), {"backup": name, "state": outcome.number})


def _require_choice(user: str | None, path: str, is_hub: bool) -> None:
    if (user is not None) == is_hub or (path and user is None):
        raise TljhError(
            "say what to restore: --user NAME [--path PATH], or --config, --database",
            fix="see: tljh restore --help; a whole hub, on a fresh machine: "
            "sudo python3 bootstrap.py --restore REPOSITORY --restore-key-file FILE",
            exit_code=Exit.USAGE,
        )
