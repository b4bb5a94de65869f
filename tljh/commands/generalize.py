"""`tljh generalize`: prepare this machine to be copied as an image."""

from __future__ import annotations

from typing import Annotated

from tljh.base.paths import get_paths
from tljh.base.progress import format_count
from tljh.commands.confirmation import confirm
from tljh.commands.parameters import Option, Summary, choose_progress_on_stderr
from tljh.commands.reload import PlannedChange
from tljh.host.real import RealHost
from tljh.operations import generalization


def generalize(
    *,
    plan: Annotated[bool, Option("--plan", "Print what would be removed; remove nothing.")] = False,
    yes: Annotated[bool, Option("--yes", "Do not ask.")] = False,
    as_json: bool = False,
) -> Summary | PlannedChange:
    """Stop the hub and remove its secrets, so that each copy of this machine makes its own."""
    host, paths = RealHost(), get_paths()
    planned = generalization.plan_generalization(host, paths)
    if plan:
        return PlannedChange(planned)
    text = "\n".join(f"{step.title}: {step.difference.summary}" for step in planned.steps)
    confirm(f"{text}\nThe hub stops until the next boot.", "Go on?", yes=yes)
    done = generalization.generalize(host, paths, choose_progress_on_stderr(as_json))
    lines = (
        f"Done: {format_count(len(done.steps), 'step')}. Turn the machine off, and copy its disk.",
        "At its first boot, each copy makes new secrets and starts its hub.",
        *(f"stays: {what}" for what in generalization.STAYS),
    )
    return Summary(lines, done.as_json())
