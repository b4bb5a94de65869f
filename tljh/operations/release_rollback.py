"""The way back to the release before: its environment, configuration and database of that time.

The older release itself carries it out, because only it knows what it needs: its `tljh install`
gets the copy of the database and the files from the record that the upgrade wrote.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from tljh import __version__
from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.engine.journal import Journal
from tljh.host.interface import HostReader
from tljh.host.server_records import ServerPlace
from tljh.host.sqlite_file import read_user_names
from tljh.host.terminal_program import run_on_terminal
from tljh.operations.installed_config import read_installed_configuration
from tljh.operations.release_change import ReleaseBefore, read_release_before

# So many names are printed in full.
MAX_NAMES = 20


@dataclass(frozen=True)
class PreparedRollback:
    """A rollback that can be carried out, and what it loses."""

    before: ReleaseBefore
    lost: tuple[str, ...]

    def as_text(self) -> str:
        lines = [f"tljh {__version__} -> {self.before.version}, with the database of the upgrade"]
        lines += [f"lost: {line}" for line in self.lost]
        return "\n".join([*lines, "kept: accounts, homes, running servers and their kernels"])


def prepare_rollback(host: HostReader, paths: Paths) -> PreparedRollback:
    """Return what a rollback to the release before would do.

    Raises TljhError if there is none, or if what it needs is gone.
    """
    current = read_installed_configuration(host, paths)
    before = read_release_before(host, paths)
    if before is None:
        raise TljhError(
            f"there is no release before tljh {__version__} to go back to",
            why="no upgrade was made, or it was rolled back already",
            fix="to go back in the configuration: sudo tljh-config rollback",
        )
    for path in (HubEnvironmentFiles(before.environment).python, before.database):
        if host.info(path, follow=True) is None:
            raise TljhError(
                f"{path} is gone, so tljh {before.version} cannot be brought back",
                why="the environment and the copy of the database of that time are both needed",
                fix="restore that path from a backup, or stay with this release",
            )
    return PreparedRollback(before, tuple(_find_losses(host, paths, before, current)))


def _find_losses(host: HostReader, paths: Paths, before: ReleaseBefore, text: bytes) -> list[str]:
    losses = []
    server = ServerPlace.read(paths)
    current = server.read_user_names() if server else read_user_names(paths.hub_database)
    users = current - read_user_names(before.database)
    if users:
        names = ", ".join(sorted(users)[:MAX_NAMES]) + (" …" if len(users) > MAX_NAMES else "")
        losses.append(
            f"{format_count(len(users), 'user')} of the hub made since the upgrade: {names} "
            "(their accounts and homes stay)"
        )
    losses.append("sessions, tokens and sign-ups of the hub made since the upgrade")
    journal = Journal(paths.journal_dir)
    count = len([number for number in journal.numbers(host) if number > before.state + 1])
    if count:
        losses.append(
            f"{format_count(count, 'change')} of the configuration applied since (they stay in "
            "the history: sudo tljh-config history)"
        )
    applied = (journal.last_files(host) or {}).get("config.yaml", b"")
    if applied != text:
        losses.append("edits of config.yaml that were never applied (kept in the history)")
    return losses


def roll_back_release(paths: Paths, prepared: PreparedRollback, *, as_json: bool = False) -> int:
    """Have the release before carry out the rollback; return its exit code."""
    before = prepared.before
    answers = {
        "hub_environment": str(before.environment),
        "database": str(before.database),
        "files": {name: base64.b64encode(data).decode() for name, data in before.files.items()},
    }
    python = str(HubEnvironmentFiles(before.environment).python)
    command = [python, "-I", "-m", "tljh", "install", "--answers", "-"]
    return run_on_terminal(
        [*command, "--json"] if as_json else command,
        env={"TLJH_INSTALL_PREFIX": str(paths.prefix)},
        stdin=json.dumps(answers),
    )
