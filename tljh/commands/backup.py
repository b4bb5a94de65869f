"""`tljh backup`: set up, make, list, check and forget backups, and print what a restore needs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.backup.restic import BackupSnapshot
from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations import backup as operations
from tljh.operations.backup_setup import make_setup_request
from tljh.operations.converge import converge, work_out


def setup(
    repository: Annotated[
        str,
        Argument("REPOSITORY", "A directory, sftp:USER@HOST:/path, s3:https://…/bucket, rest:…"),
    ],
    *,
    stdin: Annotated[
        bool,
        Option("--stdin", "Read credentials from standard input, a line NAME=VALUE for each."),
    ] = False,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Set the place of backups, create the repository there, and start the timer."""
    variables = _read_variables() if stdin else None
    host, paths = RealHost(), get_paths()
    request = make_setup_request(host, paths, repository, variables)
    if plan:
        return PlannedChange(work_out(host, paths, request).plan)
    outcome = converge(host, paths, request, choose_progress_on_stderr(as_json))
    schedule = outcome.config.backup.schedule
    lines = [
        f"Backups go to {repository}, {schedule}. The first one now: sudo tljh backup run",
        "Keep what a restore needs in another place than this machine:",
        "  sudo tljh backup key > hub-backup.key",
    ]
    return Summary(tuple(lines), {"repository": repository, "schedule": schedule})


def _read_variables() -> dict[str, str]:
    variables = {}
    for line in sys.stdin.read().splitlines():
        name, equals, value = line.strip().partition("=")
        if not line.strip() or line.startswith("#"):
            continue
        if not equals or not name.isidentifier():
            raise TljhError(
                "standard input needs lines such as AWS_ACCESS_KEY_ID=…", exit_code=Exit.USAGE
            )
        variables[name] = value
    return variables


def run(*, as_json: bool = False) -> Summary:
    """Make a backup now; the timer does the same."""
    progress = choose_progress_on_stderr(as_json)
    backup = operations.run_backup(RealHost(), get_paths(), progress)
    text = (
        f"backup {backup.id}: {format_count(backup.files, 'file')}, "
        f"{format_size(backup.added_bytes)} of it new, {backup.duration_s:.0f} s"
    )
    data = {"id": backup.id, "files": backup.files, "added_bytes": backup.added_bytes}
    return Summary((text,), data)


@dataclass(frozen=True)
class BackupList:
    """The backups in the repository, oldest first."""

    snapshots: tuple[BackupSnapshot, ...]

    def as_text(self) -> str:
        if not self.snapshots:
            return "there is no backup yet; make one: sudo tljh backup run"
        return "\n".join(
            f"{each.id}  {each.time[:19].replace('T', ' ')}  {each.host}" for each in self.snapshots
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "backups": [
                {"id": each.id, "time": each.time, "host": each.host} for each in self.snapshots
            ]
        }


def list_backups() -> BackupList:
    """List the backups in the repository, oldest first."""
    return BackupList(operations.list_backups(RealHost(), get_paths()))


def check(
    *,
    restore: Annotated[
        bool,
        Option("--restore", "Also restore configuration and database into a scratch directory."),
    ] = False,
    as_json: bool = False,
) -> Summary:
    """Check that the repository is whole, and with --restore that a backup can be restored."""
    progress = choose_progress_on_stderr(as_json)
    seen = operations.check_backups(RealHost(), get_paths(), progress, restore=restore)
    return Summary((seen,), {"result": seen})


def forget(*, as_json: bool = False) -> Summary:
    """Forget old backups, as `backup.keep` says; each run of the timer does it, too."""
    progress = choose_progress_on_stderr(as_json)
    left = operations.forget_backups(RealHost(), get_paths(), progress)
    return Summary((f"{format_count(left, 'backup')} left",), {"left": left})


def key() -> Summary:
    """Print the file that a restore needs; it opens the backups, so keep it secret."""
    text = operations.format_key_file(RealHost(), get_paths())
    return Summary((text,), {"key_file": text})
