"""Apply a plan: journal first, then the effect, then health; roll back on failure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from tljh.base import interruptions
from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.progress import Progress
from tljh.engine.journal import Intent, Journal
from tljh.engine.plan import Plan
from tljh.engine.resource import Resource
from tljh.host.interface import Host

HealthCheck = Callable[[], None]

EDITS_TIMEOUT_S = 20.0

HEALTH_TITLE = "wait for answers of the hub"


@dataclass(frozen=True)
class ChangeContext:
    """Why a plan is applied, for the history: the user behind sudo, the command, the files.

    `unapplied` holds the current files, if no state of the history has them. A change with
    `is_state` false leaves no state of the configuration.
    """

    user: str
    command: str
    files: Mapping[str, bytes]
    unapplied: Mapping[str, bytes] | None = None
    is_state: bool = True


def get_caller_name() -> str:
    """Return the name of the user behind sudo, for the history."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"


@contextmanager
def start_slow_steps(plan: Plan, host: Host, progress: Progress) -> Iterator[Plan]:
    """Start the slow steps of a plan in the background, for the duration of the block.

    Yields the plan with the started steps. On exit, those that were not applied are stopped.
    """
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
    context: ChangeContext,
    *,
    progress: Progress,
    health: HealthCheck,
    health_title: str = HEALTH_TITLE,
) -> int | None:
    """Apply a plan; return the number of its history entry, or None when nothing changed.

    Files that differ from those of the current state become a state even if no step follows.
    When a step or the health check fails, or a signal arrives, every change is rolled back, last
    first, and the reason is raised as TljhError. Further signals do not interrupt the rollback.
    """
    if not plan and (not context.is_state or context.files == journal.last_files(host)):
        return None
    with interruptions.held_back():
        _begin(plan, host, journal, context)
        try:
            with interruptions.let_through():
                _carry_out(plan, host, journal, progress)
                if plan:
                    with progress.step(health_title):
                        health()
            # Inside the block, because a failure here must roll back at once. Otherwise the change
            # would stay in effect, and the next command would roll it back as unfinished.
            number = _close(host, journal, context)
        except (Exception, KeyboardInterrupt) as error:
            if journal.is_pending(host):
                raise _combine_failures(error, roll_back(host, journal, progress)) from error
            # The entry has its number already. A rollback has no record any more, so the change
            # is kept; the next one finishes what is left to do in the journal.
            progress.note(f"the change was kept before this happened: {error}")
            number = journal.numbers(host)[-1] if context.is_state else None
        # The change is made and stays. "Interrupted" would report the opposite.
        interruptions.keep_change()
    return number


def _close(host: Host, journal: Journal, context: ChangeContext) -> int | None:
    if context.is_state:
        return journal.keep(host)
    journal.discard(host)
    return None


def _begin(plan: Plan, host: Host, journal: Journal, context: ChangeContext) -> None:
    journal.begin(
        host,
        user=context.user,
        command=context.command,
        changes=(
            *(setting.as_text() for setting in plan.settings),
            *(f"{step.difference.sign} {step.title}" for step in plan.steps),
        ),
        files=context.files,
        unapplied=context.unapplied,
    )


def _carry_out(plan: Plan, host: Host, journal: Journal, progress: Progress) -> None:
    for number, step in enumerate(plan.steps, start=1):
        journal.intend(host, number, step.resource)
        with progress.step(step.title):
            step.resource.apply(host, progress)
        journal.mark_done(host, number)


def recover(host: Host, journal: Journal, progress: Progress, edits: Path | None = None) -> bool:
    """Roll back what a killed run left unfinished; return whether there was such a run.

    Every command that changes the machine calls this first, under the lock of an apply. `edits`
    is the lock for edits of config.yaml: an edit that falls between comparing that file with its
    before-image and restoring it would be lost.
    """
    if not journal.is_pending(host):
        return False
    progress.note("an earlier run was interrupted: rolling back what it had changed")
    with ExitStack() as open_contexts:
        if edits is not None and host.info(edits.parent):
            open_contexts.enter_context(host.lock(edits, timeout_s=EDITS_TIMEOUT_S))
        with interruptions.held_back():
            problems = roll_back(host, journal, progress)
    if problems:
        raise TljhError(problems)
    return True


def roll_back(host: Host, journal: Journal, progress: Progress) -> list[Finding]:
    """Revert the pending entry's changes, last first; return what could not be reverted.

    Reverting twice has the same result as reverting once, so an interrupted rollback runs again
    from its start. A rollback that cannot finish leaves the entry pending for the next command.
    """
    intents = journal.intents(host)
    in_use = [
        intent for intent in reversed(intents) if _find_revert_problem(host, intent, progress)
    ]
    problems: list[Finding] = []
    # Only now may units start again: one that starts earlier could read files of both states.
    for intent in intents:
        try:
            if note := Resource.of_kind(intent.kind).settle(host, intent.record):
                progress.note(note)
        except (TljhError, OSError) as error:
            problems.append(_describe_unreverted(intent.kind, intent.name, error))
    # A service held it that has been replaced by now, as Traefik holds its account.
    for intent in in_use:
        if problem := _find_revert_problem(host, intent, progress):
            problems.append(problem)
    if not problems:
        journal.set_aside(host)
    return problems


def _find_revert_problem(host: Host, intent: Intent, progress: Progress) -> Finding | None:
    """Revert one change; return what went wrong."""
    try:
        with progress.step(f"roll back {intent.kind} {intent.name}"):
            note = Resource.of_kind(intent.kind).revert(host, intent.record)
    except (TljhError, OSError) as error:
        return _describe_unreverted(intent.kind, intent.name, error)
    if note:
        progress.note(note)
    return None


def _describe_unreverted(kind: str, name: str, error: Exception) -> Finding:
    return Finding(
        f"{kind} {name} could not be rolled back",
        why=str(error),
        fix="correct the cause above, then run: sudo tljh-config reload (it resumes the rollback)",
    )


def _combine_failures(error: BaseException, problems: list[Finding]) -> TljhError:
    code: Exit | None = None
    if isinstance(error, TljhError):
        findings, code = list(error.findings), error.exit_code
    elif isinstance(error, KeyboardInterrupt):
        findings, code = [Finding("interrupted")], interruptions.exit_code_of(error)
    else:
        findings = [Finding(str(error) or type(error).__name__)]
    if not problems:
        last = findings[-1]
        note = "every change was rolled back; the previous state runs"
        why = f"{last.why}\n{note}" if last.why else note
        findings[-1] = Finding(last.what, last.where, why, last.fix)
    result = TljhError([*findings, *problems])
    # The codes of signals promise that all was rolled back.
    if code is not None and not problems:
        result.exit_code = code
    return result
