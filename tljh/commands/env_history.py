"""`tljh env history`, `diff`, `snapshot`, `rollback`, `record`: the user environment's past."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.commands.chosen_environment import EnvOption, choose_environment, name_commands
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Argument, Option, Summary, choose_progress_on_stderr
from tljh.conda.snapshot_requests import Cause, Comparison
from tljh.conda.snapshots import Snapshot
from tljh.engine.apply import get_caller_name
from tljh.host.real import RealHost
from tljh.operations import env_history as operations
from tljh.operations.env_history import EnvironmentHistory

# More changes or files than this are printed as their number.
MAX_PRINTED_CHANGES = 8
MAX_PRINTED_FILES = 20

YesOption = Annotated[bool, Option("--yes", "Do not ask.")]

SnapshotArgument = Annotated[
    str | None, Argument("N", "A snapshot's number or name; without it, the last good one.")
]


@dataclass(frozen=True)
class PrintedHistory:
    """The snapshots, oldest first, and what was changed since the last one."""

    history: EnvironmentHistory

    def as_json(self) -> dict[str, Any]:
        return {
            "snapshots": [
                {
                    "number": snapshot.number,
                    "time": snapshot.time,
                    "user": snapshot.user,
                    "command": snapshot.command,
                    "changes": list(snapshot.changes),
                    "names": list(snapshot.names),
                    "good": snapshot.is_good,
                }
                for snapshot in self.history.snapshots
            ],
            "unrecorded": list(self.history.unrecorded),
        }

    def as_text(self) -> str:
        if not self.history.snapshots:
            return "the history is empty; the first snapshot: sudo tljh env snapshot NAME"
        lines = []
        for snapshot in self.history.snapshots:
            lines.append(_headline(snapshot))
            lines += [f"      {change}" for change in _shortened(snapshot.changes)]
        if self.history.unrecorded:
            lines.append("   *  changed since then; the next command records it")
            lines += [f"      {change}" for change in _shortened(self.history.unrecorded)]
        return "\n".join(lines)


def _headline(snapshot: Snapshot) -> str:
    cause = f"{snapshot.user}  {snapshot.command}" if snapshot.command else "changed outside tljh"
    names = f"  [{', '.join(snapshot.names)}]" if snapshot.names else ""
    bad = "  (fails the check)" if snapshot.is_good is False else ""
    return f"{snapshot.number:>4}  {snapshot.time}  {cause}{names}{bad}"


def _shortened(lines: tuple[str, ...], most: int = MAX_PRINTED_CHANGES) -> list[str]:
    rest = len(lines) - most
    return [*lines[:most], *([f"and {rest} more"] if rest > 0 else [])]


@dataclass(frozen=True)
class PrintedComparison:
    """What leads from one state of the environment to another."""

    comparison: Comparison

    def as_json(self) -> dict[str, Any]:
        return {
            "packages": list(self.comparison.packages),
            "files": list(self.comparison.paths),
        }

    def as_text(self) -> str:
        if not self.comparison.paths:
            return "there is no difference"
        return describe(self.comparison)


def describe(comparison: Comparison) -> str:
    """Return the packages that differ, or the files where no package does, as text."""
    count = f"in all {format_count(len(comparison.paths), 'file')}"
    return "\n".join(
        [*(comparison.packages or _shortened(comparison.paths, MAX_PRINTED_FILES)), count]
    )


def history(*, env: EnvOption = "") -> PrintedHistory:
    """List the snapshots of the user environment; 1 is the state as installed."""
    with choose_environment(env) as paths:
        return PrintedHistory(operations.history(RealHost(), paths))


def diff(
    old: SnapshotArgument = None,
    new: Annotated[
        str | None, Argument("M", "Another one; without it, the environment as it is.")
    ] = None,
    *,
    env: EnvOption = "",
) -> PrintedComparison:
    """Print what changed from one snapshot to another, or to the environment as it is."""
    with choose_environment(env) as paths:
        return PrintedComparison(operations.diff(RealHost(), paths, old, new))


def snapshot(
    name: Annotated[str, Argument("NAME", "A name for the environment as it is.")],
    *,
    delete: Annotated[
        bool, Option("--delete", "Remove the name; the snapshot may be pruned then.")
    ] = False,
    env: EnvOption = "",
) -> Summary:
    """Give the environment as it is a name, so that its snapshot is never pruned."""
    with choose_environment(env) as paths:
        if delete:
            number = operations.unpin(RealHost(), paths, name)
            line = f"snapshot {number} has lost the name {name}"
        else:
            number = operations.pin(RealHost(), paths, name)
            command = name_commands(f"sudo tljh env rollback {shlex.quote(name)}", env)
            line = f"snapshot {number} is {name}. To go back to it: {command}"
    return Summary((line,), {"number": number, "name": name})


def rollback(
    number: SnapshotArgument = None,
    *,
    env: EnvOption = "",
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Go back to a snapshot of the user environment, while notebooks run."""
    with choose_environment(env) as paths:
        return _roll_back(paths, number, yes=yes, as_json=as_json)


def _roll_back(paths: Paths, number: str | None, *, yes: bool, as_json: bool) -> Summary:
    host = RealHost()
    planned = operations.plan_rollback(host, paths, number)
    target = planned.target.number
    data = {"snapshot": target, "number": None, "packages": list(planned.comparison.packages)}
    if not planned.comparison.paths:
        return Summary((f"nothing to do: the environment is as in snapshot {target}",), data)
    changes = planned.comparison
    # The comparison leads from the snapshot to the environment; a rollback leads the other way.
    text = f"since snapshot {target} ({planned.target.time}):\n{describe(changes)}"
    confirm(text, f"Go back to snapshot {target}?", yes=yes)
    restored = operations.rollback(host, paths, planned.target, choose_progress_on_stderr(as_json))
    which = f"environment {paths.environment}" if paths.environment else "user environment"
    line = f"the {which} is as in snapshot {target}. Saved as snapshot {restored}."
    return Summary((line,), {**data, "number": restored})


def record(
    command: Annotated[str, Argument("COMMAND", "What changed it, for the history.")] = "",
    *,
    env: EnvOption = "",
) -> Summary:
    """Make a snapshot if other programs have changed the user environment."""
    cause = Cause(get_caller_name() if command else "", command)
    with choose_environment(env) as paths:
        number = operations.record_change(RealHost(), paths, cause)
    line = f"saved as snapshot {number}" if number else "nothing changed since the last snapshot"
    return Summary((line,), {"number": number})
