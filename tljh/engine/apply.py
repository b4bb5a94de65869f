"""Carrying out a plan: journal first, then the effect, then health; undo backwards on failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tljh.base.errors import Finding, TljhError
from tljh.base.progress import Progress
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan
from tljh.engine.resource import Resource
from tljh.host.interface import Host

HealthCheck = Callable[[], None]


EDITS_TIMEOUT_S = 20.0


@dataclass(frozen=True)
class Occasion:
    """Why something is applied, for the history: who, by which command, with which files.

    `unapplied` are the files that stand there now, where no state of the history has them.
    """

    who: str
    command: str
    files: Mapping[str, bytes]
    unapplied: Mapping[str, bytes] | None = None


@contextmanager
def begun(plan: Plan, host: Host, progress: Progress) -> Iterator[Plan]:
    """The plan with the long work of its steps begun, for as long as it is tried and applied."""
    steps = []
    try:
        for step in plan.steps:
            steps.append(replace(step, resource=step.resource.started(host)))
            if steps[-1].resource is not step.resource:
                progress.note(f"{step.title} is made meanwhile")
        yield replace(plan, steps=tuple(steps))
    finally:
        for step in steps:
            step.resource.stop(host)


def apply(
    plan: Plan,
    host: Host,
    journal: Journal,
    occasion: Occasion,
    *,
    progress: Progress,
    health: HealthCheck,
) -> int | None:
    """Carry out a plan; returns the number of its history entry, None when there was nothing to do.

    Files that differ from those of the last entry are an entry even if nothing follows from them.
    When a step or the health check fails, or the process is interrupted, every change is undone
    backwards and the reason is raised as TljhError.
    """
    if not plan and occasion.files == journal.last_files(host):
        return None
    journal.begin(
        host,
        who=occasion.who,
        command=occasion.command,
        changes=tuple(f"{step.difference.sign} {step.title}" for step in plan.steps),
        files=occasion.files,
        unapplied=occasion.unapplied,
    )
    try:
        for number, step in enumerate(plan.steps, start=1):
            journal.intend(host, number, step.resource)
            with progress.step(step.title):
                step.resource.apply(host, progress)
            journal.mark_done(host, number)
        if plan:
            with progress.step("health: the hub answers"):
                health()
    except (Exception, KeyboardInterrupt) as error:
        raise _undone(error, undo(host, journal, progress)) from error
    return journal.keep(host)


def recover(host: Host, journal: Journal, progress: Progress, edits: Path | None = None) -> bool:
    """Undo what a killed run left unfinished; true if there was such a run.

    Every command that changes the machine begins with this, under the lock. `edits` is the lock
    of whoever edits config.yaml: nobody may write between the look at it and its before-image.
    """
    if not journal.is_pending(host):
        return False
    progress.note("an earlier run was cut off: undoing what it had begun")
    with ExitStack() as held:
        if edits is not None and host.info(edits.parent):
            held.enter_context(host.lock(edits, timeout_s=EDITS_TIMEOUT_S))
        problems = undo(host, journal, progress)
    if problems:
        raise TljhError(problems)
    return True


def undo(host: Host, journal: Journal, progress: Progress) -> list[Finding]:
    """Take the pending entry's changes back, last first; returns what could not be taken back.

    Reverting twice is reverting once, so an undo that was itself cut off is simply run again.
    One that cannot finish leaves the entry pending, and the next command tries again.
    """
    problems: list[Finding] = []
    intents = journal.intents(host)
    for intent in reversed(intents):
        try:
            with progress.step(f"undo {intent.kind} {intent.name}"):
                left_alone = Resource.of_kind(intent.kind).revert(host, intent.record)
            if left_alone:
                progress.note(left_alone)
        except (TljhError, OSError) as error:
            problems.append(_not_undone(intent.kind, intent.name, error))
    for intent in intents:
        try:
            Resource.of_kind(intent.kind).settle(host, intent.record)
        except (TljhError, OSError) as error:
            problems.append(_not_undone(intent.kind, intent.name, error))
    if not problems:
        journal.drop(host)
    return problems


def _not_undone(kind: str, name: str, error: Exception) -> Finding:
    return Finding(
        f"{kind} {name} could not be brought back",
        why=str(error),
        fix="mend what it says, then run any tljh command: it takes up the undo again",
    )


def _undone(error: BaseException, problems: list[Finding]) -> TljhError:
    if isinstance(error, TljhError):
        findings, code = list(error.findings), error.exit_code
    else:
        what = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        findings, code = [Finding(what or type(error).__name__)], None
    if not problems:
        last = findings[-1]
        note = "every change was undone; what ran before runs again"
        why = f"{last.why}\n{note}" if last.why else note
        findings[-1] = Finding(last.what, last.where, why, last.fix)
    result = TljhError([*findings, *problems])
    if code is not None:
        result.exit_code = code
    return result
