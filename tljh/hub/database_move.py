"""Move the hub's database to another place or kind.

The copy is left to the hub that starts next, by a file (the order), as with a migration: while it
starts, no process writes to the database, and requests wait at its socket. The order is written
before the hub's configuration, and is carried out only by a hub whose configuration names the
target. So a hub that starts at any moment, after a crash as well, has either the old database or
the complete new one. The old one is kept.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import restore_database
from tljh.hub.database_client import COPY_TIMEOUT_S, ask_database, require_private_password
from tljh.hub.database_place import require_room
from tljh.hub.database_resource import read_schemas
from tljh.hub.database_server import LocalDatabase
from tljh.settings.database_address import DatabaseAddress, build_sqlite_address
from tljh.systemd.unit_resource import act, reload_systemd

# copy: into an empty database. replace: what is in the target goes. adopt: nothing is copied.
MoveMode = Literal["copy", "replace", "adopt"]

MAX_OBSTACLES = 10


@dataclass(frozen=True)
class DatabaseMove(Resource):
    """The hub's database is at `target`, with the rows of `source`."""

    paths: Paths
    environment: Path
    source: DatabaseAddress
    target: DatabaseAddress
    mode: MoveMode = "copy"

    kind: ClassVar[str] = "database-move"
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.target)

    def difference(self, host: HostReader) -> Difference | None:
        if self.mode == "adopt":
            return Difference("~", f"in the place of {self.source}, with what is in it")
        return Difference("~", f"copied from {self.source}, which is kept; requests wait meanwhile")

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        """Refuse a move that could not work, or that would lose something."""
        require_private_password(host, self.target)
        with progress.step(f"compare {self.source} with what {self.target} can hold"):
            # A server that this change installs is not there yet.
            is_new = LocalDatabase(self.target.kind).key in changed and self.target.is_local_server
            findings, warnings = check_move(host, self, is_new=is_new)
        if findings:
            raise TljhError(findings)
        return warnings

    def before(self, host: HostReader) -> Record:
        return {
            "order": str(self.paths.move_order),
            "target": {**self.target.as_order(), "kind": self.target.kind},
            "environment": str(self.environment),
            "replaced": str(self.paths.replaced_database),
            "active": host.unit(HUB_UNIT).is_active,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        order = self.paths.move_order
        for suffix in (".begun", ".done"):
            host.remove(order.with_suffix(suffix))
        if self.mode == "adopt":
            return
        content = {
            "source": {**self.source.as_order(), "kind": self.source.kind},
            "target": {**self.target.as_order(), "kind": self.target.kind},
            "replaced": str(self.paths.replaced_database),
        }
        host.write(order, json.dumps(content).encode(), mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        order = Path(record["order"])
        with contextlib.suppress(FileNotFoundError):
            # A starting hub takes the order with a rename, too: only one of the two succeeds.
            host.rename(order, order.with_suffix(".withdrawn"))

    @classmethod
    def settle(cls, host: Host, record: Record) -> str | None:
        order = Path(record["order"])
        note = None
        if any(host.info(order.with_suffix(end)) for end in (".begun", ".done")):
            # The configuration names the old database again. A hub that is not stopped keeps its
            # sockets, where requests wait.
            if host.unit(HUB_UNIT).is_active or record["active"]:
                reload_systemd(host)
                act(host, "restart", HUB_UNIT)
            note = _remove_copy(host, record)
        for suffix in (".withdrawn", ".begun", ".done"):
            host.remove(order.with_suffix(suffix))
        if record["active"] and not host.unit(HUB_UNIT).is_active:
            act(host, "start", HUB_UNIT)
        return note


def _remove_copy(host: Host, record: Record) -> str | None:
    """Empty the target of a move that is rolled back; a file of SQLite gets what it had before."""
    target = _read_address(record["target"])
    if not target.is_server:
        path = Path(target.url.removeprefix("sqlite:///"))
        host.remove(path)
        restore_database(Path(record["replaced"]), path)
        return None
    try:
        ask_database(host, Path(record["environment"]), "clear", target)
    except TljhError as error:
        return f"the copy in {target} could not be removed: {error.findings[0].why}"
    return None


def _read_address(content: dict[str, str]) -> DatabaseAddress:
    return DatabaseAddress(content["kind"], content["url"], content.get("password_file"))  # type: ignore[arg-type]


def carry_out_move(host: Host, order: Path, environment: Path, url: str) -> None:
    """Copy the database, if ordered and if the hub's configuration names the target.

    The starting hub calls this. A copy that was killed is begun again. Raises TljhError if it
    fails; then the hub must not start, because its database is not complete.
    """
    begun = order.with_suffix(".begun")
    if host.info(order) is None and host.info(begun) is None:
        return
    content = json.loads(host.read(order) or host.read(begun) or b"{}")
    target = _read_address(content["target"])
    if target.url != url:
        return
    if host.info(order) is not None:
        try:
            host.rename(order, begun)
        except FileNotFoundError:
            return
    source = _read_address(content["source"])
    if target.is_server:
        ask_database(host, environment, "copy", target, source=source, timeout_s=COPY_TIMEOUT_S)
    else:
        _copy_to_file(host, environment, source, target, Path(content["replaced"]))
    host.rename(begun, order.with_suffix(".done"))


def _copy_to_file(
    host: Host, environment: Path, source: DatabaseAddress, target: DatabaseAddress, replaced: Path
) -> None:
    path = Path(target.url.removeprefix("sqlite:///"))
    partial = path.with_name(f".{path.name}.moved")
    host.remove(partial)
    ask_database(
        host,
        environment,
        "copy",
        build_sqlite_address(partial),
        source=source,
        timeout_s=COPY_TIMEOUT_S,
    )
    if host.info(path) is not None:
        # Of an earlier move away from it.
        if host.info(replaced.parent) is None:
            host.mkdir(replaced.parent, mode=0o700)
        restore_database(path, replaced)
    restore_database(partial, path)


def check_move(
    host: HostReader, move: DatabaseMove, *, is_new: bool
) -> tuple[list[Finding], list[Finding]]:
    """Return why a move cannot be made, and warnings. Raises TljhError if a database is away."""
    source, target = move.source, move.target
    answer = ask_database(
        host,
        move.environment,
        "check-source" if is_new or not target.is_server else "check",
        target,
        source=source,
        timeout_s=COPY_TIMEOUT_S,
    )
    findings = list(_judge_source(host, move, answer))
    if "target" in answer:
        findings += _judge_target(move, answer["target"])
    elif not target.is_server:
        require_room(host, move.paths.hub_database, copies=2)
    warnings = []
    if answer["source"]["unknown"]:
        names = ", ".join(answer["source"]["unknown"])
        warnings.append(Finding(f"tables that are not the hub's stay in {source}: {names}"))
    return findings, warnings


def _judge_source(host: HostReader, move: DatabaseMove, answer: dict[str, object]) -> list[Finding]:
    obstacles = [str(text) for text in answer["obstacles"]]  # type: ignore[attr-defined]
    findings = [Finding(f"{move.target} cannot hold: {text}") for text in obstacles[:MAX_OBSTACLES]]
    if len(obstacles) > MAX_OBSTACLES:
        findings.append(Finding(f"and {len(obstacles) - MAX_OBSTACLES} more values"))
    schemas = read_schemas(host, move.environment)
    revision = answer["source"]["revision"]  # type: ignore[index]
    if schemas is not None and move.mode != "adopt" and revision != schemas.newest:
        findings.append(
            Finding(
                f"{move.source} has not the schema of this release",
                why=f"it has {revision}, and the hub environment has {schemas.newest}",
                fix="apply first what is without the move: sudo tljh-config reload",
            )
        )
    return findings


def _judge_target(move: DatabaseMove, target: dict[str, object]) -> list[Finding]:
    findings = []
    if target["is_old"]:
        findings.append(
            Finding(
                f"{move.target} is {target['server']}, which is too old",
                fix="use PostgreSQL 12, MariaDB 10.5 or MySQL 8, or a newer one",
            )
        )
    if target["charset"]:
        findings.append(
            Finding(
                f"{move.target} has the character set {target['charset']}",
                why="names such as staff and Staff would be one name, or letters would be lost",
                fix="create the database again: PostgreSQL with ENCODING 'UTF8', MariaDB with "
                "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, MySQL with utf8mb4_0900_bin",
            )
        )
    if move.mode == "copy" and not target["is_empty"]:
        findings.append(
            Finding(
                f"{move.target} is not empty: a hub with {target['users']} users is in it",
                why="an earlier move may have left it there",
                fix="to replace it: sudo tljh db move TARGET --replace; to use it as it is, "
                "without what is in the current one: sudo tljh db move TARGET --as-is",
            )
        )
    if move.mode == "adopt" and target["is_empty"]:
        findings.append(Finding(f"{move.target} is empty, so there is nothing to use as it is"))
    return findings
