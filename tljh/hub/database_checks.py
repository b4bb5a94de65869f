"""Checks of the hub's database."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.sqlite_file import find_damage
from tljh.hub.database_client import DatabaseAway, ask_database
from tljh.hub.database_place import find_remote_file_system
from tljh.hub.facts import read_applied_database
from tljh.plugins.checks import CheckedMachine, Result
from tljh.settings.database_address import DatabaseAddress


def _read_server(subject: CheckedMachine) -> DatabaseAddress | None:
    """Return where the database of the running hub is, if it is on a server."""
    address = read_applied_database(subject.host, subject.paths)
    return address if address is not None and address.is_server else None


def check_place(subject: CheckedMachine) -> Iterator[Result]:
    """Report a server that does not answer, and a file on a file system that damages it."""
    server = _read_server(subject)
    if server is None:
        finding = find_remote_file_system(subject.host, subject.paths.state_dir)
        if finding is not None:
            yield Severity.BROKEN, finding
        return
    try:
        ask_database(subject.host, subject.paths.hub, "revision", server)
    except DatabaseAway as error:
        for finding in error.findings:
            yield (
                Severity.BROKEN,
                Finding(
                    f"the hub's database does not answer: {server}",
                    why=finding.why,
                    fix="start the server again; the hub goes on by itself within two seconds",
                ),
            )


def check_database(subject: CheckedMachine) -> Iterator[Result]:
    """Report what `check_place` does, and a file of SQLite that is damaged."""
    yield from check_place(subject)
    path = subject.paths.hub_database
    if _read_server(subject) is not None or not subject.host.info(path):
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
