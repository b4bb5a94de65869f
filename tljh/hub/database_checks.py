"""Checks of the hub's database."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.sqlite_file import find_damage
from tljh.hub.database_place import find_remote_file_system
from tljh.plugins.checks import CheckedMachine, Result


def check_place(subject: CheckedMachine) -> Iterator[Result]:
    """Report a database on a file system that damages it."""
    finding = find_remote_file_system(subject.host, subject.paths.state_dir)
    if finding is not None:
        yield Severity.BROKEN, finding


def check_database(subject: CheckedMachine) -> Iterator[Result]:
    """Report a database on a file system that damages it, and one that is damaged."""
    yield from check_place(subject)
    path = subject.paths.hub_database
    if not subject.host.info(path):
        return
    damage = find_damage(path)
    if damage is not None:
        yield (
            Severity.BROKEN,
            Finding(
                f"the hub's database is damaged: {path}",
                why=f"{damage}; copies made before migrations: {subject.paths.database_copies}",
                fix="bring back the one of a backup: sudo tljh restore --database",
            ),
        )
