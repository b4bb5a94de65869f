"""`tljh rollback`: go back to the release before, with its database and configuration."""

from __future__ import annotations

from typing import Annotated

from tljh.base.paths import get_paths
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Option
from tljh.host.real import RealHost
from tljh.operations.release_rollback import prepare_rollback, roll_back_release


def rollback(
    *,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> int:
    """Go back to the release before the last upgrade, its database included."""
    host, paths = RealHost(), get_paths()
    prepared = prepare_rollback(host, paths)
    confirm(prepared.as_text(), f"Go back to tljh {prepared.before.version}?", yes=yes)
    return roll_back_release(paths, prepared, as_json=as_json)
