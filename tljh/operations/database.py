"""The hub's database: where it is, a server for it on this machine, and its move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import find_damage
from tljh.hub.database_client import ask_database, require_private_password
from tljh.hub.database_move import DatabaseMove, MoveMode, check_move
from tljh.hub.database_place import find_remote_file_system
from tljh.hub.database_server import LocalDatabase, list_server_resources
from tljh.hub.facts import read_applied_database
from tljh.operations.converge import Outcome, Request, work_out
from tljh.operations.installed_config import edit_configuration, find_hub_environment
from tljh.plugins.manager import Contributions
from tljh.settings.database_address import (
    DRIVERS,
    DatabaseAddress,
    build_local_address,
    build_sqlite_address,
    correct_url,
)
from tljh.settings.rules.database import find_url_problem
from tljh.settings.yaml_changes import MISSING, read_value_at
from tljh.settings.yaml_edit import set_value, unset_value

if TYPE_CHECKING:
    from tljh.settings.root import Config
    from tljh.settings.sections.database import DatabaseType

KINDS: dict[str, DatabaseType] = {
    "sqlite": "sqlite",
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}


@dataclass(frozen=True)
class DatabaseState:
    """Where the hub's database is, and what answers there."""

    address: DatabaseAddress
    answer: dict[str, Any]


def read_database(host: HostReader, paths: Paths) -> DatabaseState:
    """Return where the hub's database is and what is in it. Raises TljhError if it is away."""
    environment = find_hub_environment(host, paths)
    address = read_applied_database(host, paths) or build_sqlite_address(paths.hub_database)
    if environment is None:
        raise TljhError("there is no hub on this machine")
    return DatabaseState(address, ask_database(host, environment, "probe", address))


def check_database(host: HostReader, paths: Paths) -> DatabaseState:
    """Check the database where it is. Raises TljhError with what is wrong with it."""
    state = read_database(host, paths)
    findings = []
    if state.address.is_server:
        require_private_password(host, state.address)
    else:
        damage = find_damage(paths.hub_database)
        if damage:
            findings.append(
                Finding(
                    "the hub's database is damaged",
                    why=damage,
                    fix="bring back the one of a backup: sudo tljh restore --database",
                )
            )
        if (remote := find_remote_file_system(host, paths.state_dir)) is not None:
            findings.append(remote)
    if state.answer["is_old"] or state.answer["charset"]:
        what = state.answer["charset"] or state.answer["server"]
        findings.append(Finding(f"the hub's database should not be used: {what}"))
    if findings:
        raise TljhError(findings)
    return state


def parse_kind(text: str) -> DatabaseType:
    """Return the kind of a database by any of its names. Raises TljhError for another."""
    kind = KINDS.get(text.lower())
    if kind is None:
        raise TljhError(
            f"there is no kind of database {text!r}",
            why="the hub can use sqlite, postgresql and mysql (MariaDB, too)",
            exit_code=Exit.USAGE,
        )
    return kind


def make_setup_request(kind: DatabaseType) -> Request:
    """Return the request that installs a server on this machine, with an empty database."""

    def add_server(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        needed = list_server_resources(build_local_address(kind))
        keys = {resource.key for resource in resources}
        return [*resources, *(each for each in needed if each.key not in keys)]

    return Request(f"db setup {kind}", adjust=add_server)


@dataclass(frozen=True)
class MoveTarget:
    """Where a database moves: the settings of config.yaml, as typed."""

    kind: DatabaseType
    url: str | None = None
    password_file: str | None = None
    ca: str | None = None


def parse_target(text: str, password_file: str | None, ca: str | None) -> MoveTarget:
    """Return the target that a kind or a URL means. Raises TljhError for another spelling."""
    if "://" not in text:
        if password_file or ca:
            raise TljhError(
                "a password file and a certificate belong to a database elsewhere",
                why=f"{text} means the one on this machine",
                exit_code=Exit.USAGE,
            )
        return MoveTarget(parse_kind(text))
    problem = find_url_problem(text)
    if problem is not None:
        corrected = correct_url(text)
        fix = problem.fix
        if corrected is not None and corrected.kind in DRIVERS:
            fix = f"sudo tljh db move {quote(corrected.url)}"
            if corrected.has_password:
                fix += " --password-file FILE, with the password in that file"
        what = problem.what.replace("database.url", "the target")
        raise TljhError(what, why=problem.why, fix=fix, exit_code=Exit.USAGE)
    kind: DatabaseType = "postgresql" if text.startswith(DRIVERS["postgresql"]) else "mysql"
    return MoveTarget(kind, text, password_file, ca)


def make_move_request(host: Host, paths: Paths, target: MoveTarget, mode: MoveMode) -> Request:
    """Return the request that moves the database to a target."""
    values = {
        "type": target.kind,
        "url": target.url,
        "password_file": target.password_file,
        "ca": target.ca,
    }

    def edit(text: str) -> str:
        for name, value in values.items():
            path = ("database", name)
            if value is not None:
                text = set_value(text, path, value)
            elif read_value_at(text, path) is not MISSING:
                text = unset_value(text, path)
        return text

    def choose_mode(
        resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
    ) -> Sequence[Resource]:
        if not any(isinstance(resource, DatabaseMove) for resource in resources):
            raise TljhError(f"the hub's database is there already: {target.url or target.kind}")
        return [
            replace(resource, mode=mode) if isinstance(resource, DatabaseMove) else resource
            for resource in resources
        ]

    return Request(
        f"db move {target.kind}",
        configuration=edit_configuration(host, paths, edit, key_path=("database", "type")),
        adjust=choose_mode,
    )


def plan_move(host: HostReader, paths: Paths, request: Request) -> Outcome:
    """Return what a move would do. Raises TljhError with each obstacle."""
    outcome = work_out(host, paths, request)
    move = next(each for each in outcome.resources if isinstance(each, DatabaseMove))
    require_private_password(host, move.target)
    server = LocalDatabase(move.target.kind).key
    # Without the driver the target cannot be asked; what the source has can be compared.
    is_new = outcome.rebuild is not None or server in outcome.plan.changed
    findings, warnings = check_move(host, move, is_new=is_new)
    if findings:
        raise TljhError(findings)
    return replace(outcome, warnings=(*outcome.warnings, *warnings))
