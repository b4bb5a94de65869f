"""Apply a plan: journal first, then the effect, then health; roll back on failure."""

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
    """Why a plan is applied, for the history: the user behind sudo, the command, the files.

    `unapplied` holds the current files, if no state of the history has them.
    """

    user: str
    command: str
    files: Mapping[str, bytes]
    unapplied: Mapping[str, bytes] | None = None


@contextmanager
def started_early(plan: Plan, host: Host, progress: Progress) -> Iterator[Plan]:
    """Start slow steps in the background; on exit, stop those that were not applied."""
    steps = []
    try:
        for step in plan.steps:
            steps.append(replace(step, resource=step.resource.started(host)))
            if steps[-1].resource is not step.resource:
                progress.note(f"{step.title} is prepared in the background")
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
    """Apply a plan; return the number of its history entry, or None when nothing changed.

    Files that differ from those of the current state become a state even if no step follows.
    When a step or the health check fails, or the process is interrupted, every change is rolled
    back, last first, and the reason is raised as TljhError.
    """
    if not plan and occasion.files == journal.last_files(host):
        return None
    journal.begin(
        host,
        user=occasion.user,
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
            with progress.step("check that the hub answers"):
                health()
    except (Exception, KeyboardInterrupt) as error:
        raise _failure(error, roll_back(host, journal, progress)) from error
    return journal.keep(host)


def recover(host: Host, journal: Journal, progress: Progress, edits: Path | None = None) -> bool:
    """Roll back what a killed run left unfinished; return whether there was such a run.

    Every command that changes the machine calls this first, under the lock of an apply. `edits`
    is the lock for edits of config.yaml: an edit that falls between comparing that file with its
    before-image and restoring it would be lost.
    """
    if not journal.is_pending(host):
        return False
    progress.note("an earlier run was interrupted: rolling back what it had changed")
    with ExitStack() as held:
        if edits is not None and host.info(edits.parent):
            held.enter_context(host.lock(edits, timeout_s=EDITS_TIMEOUT_S))
        problems = roll_back(host, journal, progress)
    if problems:
        raise TljhError(problems)
    return True


def roll_back(host: Host, journal: Journal, progress: Progress) -> list[Finding]:
    """Revert the pending entry's changes, last first; return what could not be reverted.

    Reverting twice has the same result as reverting once, so an interrupted rollback runs again
    from its start. A rollback that cannot finish leaves the entry pending for the next command.
    """
    problems: list[Finding] = []
    intents = journal.intents(host)
    for intent in reversed(intents):
        try:
            with progress.step(f"roll back {intent.kind} {intent.name}"):
                note = Resource.of_kind(intent.kind).revert(host, intent.record)
            if note:
                progress.note(note)
        except (TljhError, OSError) as error:
            problems.append(_not_reverted(intent.kind, intent.name, error))
    # Only now may units start again: one that starts earlier could read files of both states.
    for intent in intents:
        try:
            Resource.of_kind(intent.kind).settle(host, intent.record)
        except (TljhError, OSError) as error:
            problems.append(_not_reverted(intent.kind, intent.name, error))
    if not problems:
        journal.set_aside(host)
    return problems


def _not_reverted(kind: str, name: str, error: Exception) -> Finding:
    return Finding(
        f"{kind} {name} could not be rolled back",
        why=str(error),
        fix="correct the cause above, then run: sudo tljh-config reload (it resumes the rollback)",
    )


def _failure(error: BaseException, problems: list[Finding]) -> TljhError:
    if isinstance(error, TljhError):
        findings, code = list(error.findings), error.exit_code
    else:
        what = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        findings, code = [Finding(what or type(error).__name__)], None
    if not problems:
        last = findings[-1]
        note = "every change was rolled back; the previous state runs"
        why = f"{last.why}\n{note}" if last.why else note
        findings[-1] = Finding(last.what, last.where, why, last.fix)
    result = TljhError([*findings, *problems])
    if code is not None:
        result.exit_code = code
    return result
