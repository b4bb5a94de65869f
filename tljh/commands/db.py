"""`tljh db`: where the hub's database is, a server for it, and its move."""

from __future__ import annotations

from shlex import quote
from typing import Annotated

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.hub.database_move import MoveMode
from tljh.operations import database as operations
from tljh.operations.converge import converge, work_out


def status() -> Summary:
    """Print where the hub's database is, what answers there, and how many users are in it."""
    return _summarize(operations.read_database(RealHost(), get_paths()))


def check() -> Summary:
    """Check the hub's database: whether it answers, is whole, and keeps names apart."""
    return _summarize(operations.check_database(RealHost(), get_paths()))


def _summarize(state: operations.DatabaseState) -> Summary:
    answer = state.answer
    text = f"{state.address}: {answer['server']}, {format_count(answer['users'], 'user')}"
    data = {"type": state.address.kind, "place": str(state.address)}
    return Summary((text,), data | {name: answer[name] for name in ("server", "users", "revision")})


def setup(
    kind: Annotated[str, Argument("KIND", "postgresql, or mysql for Debian's MariaDB.")],
    *,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Install a database server on this machine, with an empty database for the hub."""
    host, paths = RealHost(), get_paths()
    name = operations.parse_kind(kind)
    if name == "sqlite":
        raise TljhError("SQLite needs no server", exit_code=Exit.USAGE)
    request = operations.make_setup_request(name)
    if plan:
        return PlannedChange(work_out(host, paths, request).plan)
    converge(host, paths, request, choose_progress_on_stderr(as_json))
    lines = (
        "the server runs, with an empty database for the hub; the hub uses it after: "
        f"sudo tljh db move {quote(name)}",
    )
    return Summary(lines, {"type": name})


def move(
    target: Annotated[
        str,
        Argument(
            "TARGET",
            "sqlite, postgresql or mysql on this machine, or a URL such as "
            "postgresql+psycopg://USER@HOST/NAME.",
        ),
    ],
    *,
    password_file: Annotated[
        str | None, Option("--password-file", "File with the password for the URL.", "FILE")
    ] = None,
    ca: Annotated[
        str | None, Option("--ca", "Certificate to verify the server of the URL with.", "FILE")
    ] = None,
    replace: Annotated[
        bool, Option("--replace", "Replace the hub's tables that the target has.")
    ] = False,
    as_is: Annotated[bool, Option("--as-is", "Use what the target has, and copy nothing.")] = False,
    plan: Annotated[bool, Option("--plan", "Print what would change; change nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Move the hub's database, with users, passwords, tokens and sessions, to another place."""
    if replace and as_is:
        raise TljhError("--replace and --as-is exclude each other", exit_code=Exit.USAGE)
    mode: MoveMode = "replace" if replace else "adopt" if as_is else "copy"
    host, paths = RealHost(), get_paths()
    destination = operations.parse_target(target, password_file, ca)
    request = operations.make_move_request(host, paths, destination, mode)
    planned = PlannedChange(operations.plan_move(host, paths, request).plan)
    if plan:
        return planned
    confirm(planned.as_text(), "Move the database? Requests wait meanwhile.", yes=yes)
    outcome = converge(host, paths, request, choose_progress_on_stderr(as_json))
    state = operations.read_database(host, paths)
    users = format_count(state.answer["users"], "user")
    return Summary(
        (f"the hub's database is {state.address}, with {users}; the old one is kept",),
        {"type": state.address.kind, "users": state.answer["users"], "state": outcome.number},
    )
