"""`tljh-config plan`, `reload`, `history`, `rollback`: apply the current or an earlier state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.parameters import Argument, Option, choose_progress_on_stderr
from tljh.engine.journal import Entry
from tljh.engine.plan import Plan
from tljh.host.real import RealHost
from tljh.operations import reload as operations
from tljh.operations.converge import HEALTH_DEADLINE_S
from tljh.operations.reload import AppliedChange

COMPONENTS = ("hub", "proxy")


# A longer deadline would leave users with a hub that does not answer.
MAX_TIMEOUT_S = 3600


# More changes of a state than this are printed as their number.
MAX_PRINTED_CHANGES = 8


@dataclass(frozen=True)
class PlannedChange:
    """What a command would change."""

    plan: Plan

    def as_json(self) -> dict[str, Any]:
        return self.plan.as_json()

    def as_text(self) -> str:
        return self.plan.as_text()


@dataclass(frozen=True)
class ReloadReport:
    """What a reload or a rollback changed, with warnings and advice."""

    applied: AppliedChange

    def as_json(self) -> dict[str, Any]:
        applied = self.applied
        return {
            "changed": bool(applied.plan),
            "number": applied.number,
            "kept": applied.kept,
            "advice": "\n".join(applied.advice) or None,
            "warnings": [finding.as_json() for finding in applied.warnings],
            **applied.plan.as_json(),
        }

    def as_text(self) -> str:
        applied = self.applied
        result = "Nothing to do: the configuration is applied already."
        if applied.plan:
            count = format_count(len(applied.plan.steps), "change")
            result = f"Done: {count} applied. Saved as state {applied.number}."
        elif applied.number:
            result = f"Nothing had to change. Saved as state {applied.number}."
        lines = [*(finding.as_text("warning") for finding in applied.warnings), result]
        if applied.kept:
            lines.append(
                f"Edits that were never applied are kept as state {applied.kept}: "
                f"sudo tljh-config rollback {applied.kept}"
            )
        return "\n".join([*lines, *applied.advice])


@dataclass(frozen=True)
class History:
    """Applied states, oldest first."""

    entries: tuple[Entry, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "number": entry.number,
                "time": entry.time,
                "user": entry.user,
                "command": entry.command,
                "changes": list(entry.changes),
            }
            for entry in self.entries
        ]

    def as_text(self) -> str:
        if not self.entries:
            return "the history is empty: nothing was applied yet"
        lines = []
        for entry in self.entries:
            lines.append(f"{entry.number:>4}  {entry.time}  {entry.user}  {entry.command}")
            lines += [f"      {change}" for change in entry.changes[:MAX_PRINTED_CHANGES]]
            if len(entry.changes) > MAX_PRINTED_CHANGES:
                lines.append(f"      and {len(entry.changes) - MAX_PRINTED_CHANGES} more")
        return "\n".join(lines)


def plan_reload() -> PlannedChange:
    """Print what reload would change, and what users would notice; change nothing."""
    return PlannedChange(operations.plan_reload(RealHost(), get_paths()))


def reload(
    component: Annotated[
        str, Argument("COMPONENT", "hub or proxy; it matters with --force only.")
    ] = "hub",
    *,
    force: Annotated[bool, Option("--force", "Restart it even if nothing of it changed.")] = False,
    timeout_s: Annotated[
        float, Option("--timeout", "Seconds that the hub has to answer again.")
    ] = HEALTH_DEADLINE_S,
    as_json: bool = False,
) -> ReloadReport:
    """Apply every change of the configuration; roll back if the hub does not answer in time."""
    if component not in COMPONENTS:
        raise TljhError(
            f"there is no component {component} to reload",
            why=f"there are {' and '.join(COMPONENTS)}; without a name everything is reloaded",
            fix="sudo tljh-config reload",
            exit_code=Exit.USAGE,
        )
    # Written so that nan, which compares with nothing, is refused.
    if not 1 <= timeout_s <= MAX_TIMEOUT_S:
        raise TljhError(
            f"--timeout must be between 1 and {MAX_TIMEOUT_S} seconds, not {timeout_s:g}",
            fix=f"leave it out for {HEALTH_DEADLINE_S:g} seconds",
            exit_code=Exit.USAGE,
        )
    applied = operations.reload(
        RealHost(),
        get_paths(),
        choose_progress_on_stderr(as_json),
        force=frozenset({component}) if force else frozenset(),
        timeout_s=timeout_s,
    )
    return ReloadReport(applied)


def history() -> History:
    """List the states that were applied: when, by whom, and what changed."""
    return History(operations.read_history(RealHost(), get_paths()))


def rollback(
    number: Annotated[
        int | None, Argument("N", "The state; without it, the one before the current.")
    ] = None,
    *,
    as_json: bool = False,
) -> ReloadReport:
    """Apply a state of the history again; 1 is the state as installed."""
    host, paths = RealHost(), get_paths()
    return ReloadReport(
        operations.rollback(host, paths, number, choose_progress_on_stderr(as_json))
    )
