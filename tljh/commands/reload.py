"""`tljh-config plan`, `reload`, `history`, `rollback`: applying what the configuration says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from tljh.base.errors import Exit, Finding, TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.base.progress import counted
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.own_files import certificate_warnings
from tljh.commands.parameters import Argument, Option, progress_on_stderr
from tljh.engine.journal import Entry, Journal
from tljh.engine.plan import Plan
from tljh.host.interface import HostReader
from tljh.host.real import RealHost
from tljh.hub.health import DEADLINE_S
from tljh.operations.converge import Outcome, converge, work_out
from tljh.operations.install_and_reload import request_for
from tljh.settings.rules.logins import login_warnings
from tljh.singleuser.checks import isolation_findings
from tljh.singleuser.disk_limits import quota_findings
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import limits_in

COMPONENTS = ("hub", "proxy")


# An hour: past it nobody waits any more for what is to be undone.
LONGEST_S = 3600


@dataclass(frozen=True)
class Planned:
    """What `reload` would do."""

    plan: Plan

    def as_json(self) -> dict[str, Any]:
        return self.plan.as_json()

    def as_text(self) -> str:
        return self.plan.as_text()


@dataclass(frozen=True)
class Reloaded:
    """What `reload` did; `number` is its place in the history."""

    plan: Plan
    number: int | None
    warnings: tuple[Finding, ...] = ()
    advice: str | None = None
    kept: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "changed": bool(self.plan),
            "number": self.number,
            "kept": self.kept,
            "advice": self.advice,
            "warnings": [finding.as_json() for finding in self.warnings],
            **self.plan.as_json(),
        }

    def as_text(self) -> str:
        told = "Nothing to do: what runs is what the configuration says."
        if self.plan:
            count = len(self.plan.steps)
            told = f"Done: {counted(count, 'change')} applied, state {self.number} in the history."
        elif self.number:
            told = f"Nothing runs differently with it. It is state {self.number} in the history."
        lines = [*(finding.as_text("warning") for finding in self.warnings), told]
        if self.kept:
            what = "what was written since the last reload and never applied"
            lines.append(f"State {self.kept} is {what}: sudo tljh-config rollback {self.kept}")
        return "\n".join([*lines, *([self.advice] if self.advice else [])])


@dataclass(frozen=True)
class History:
    """Applied states, oldest first."""

    entries: tuple[Entry, ...]

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "number": entry.number,
                "time": entry.time,
                "who": entry.who,
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
            lines.append(f"{entry.number:>4}  {entry.time}  {entry.who}  {entry.command}")
            lines += [f"      {change}" for change in entry.changes[:8]]
            if len(entry.changes) > 8:
                lines.append(f"      and {len(entry.changes) - 8} more")
        return "\n".join(lines)


def plan_reload() -> Planned:
    """Tell what `reload` would do, and what people would notice of it; changes nothing."""
    paths, host = paths_from_environment(), RealHost()
    outcome = work_out(host, paths, request_for(host, paths, "plan"))
    return Planned(outcome.plan)


def reload(
    component: Annotated[
        str, Argument("COMPONENT", "hub or proxy; it matters with --force only.")
    ] = "hub",
    *,
    force: Annotated[bool, Option("--force", "Restart it even if nothing of it changed.")] = False,
    timeout_s: Annotated[
        float, Option("--timeout", "Seconds the hub has to answer again.")
    ] = DEADLINE_S,
    as_json: bool = False,
) -> Reloaded:
    """Apply everything that changed; it is undone if the hub does not answer then."""
    if component not in COMPONENTS:
        raise TljhError(
            f"there is nothing called {component} to reload",
            why=f"there are {' and '.join(COMPONENTS)}; without a name everything is reloaded",
            fix="sudo tljh-config reload",
            exit_code=Exit.USAGE,
        )
    # Not a number (nan) is neither less nor more than anything.
    if not 1 <= timeout_s <= LONGEST_S:
        raise TljhError(
            f"--timeout must be between 1 and {LONGEST_S} seconds, not {timeout_s:g}",
            fix=f"leave it out for {DEADLINE_S:g} seconds",
            exit_code=Exit.USAGE,
        )
    paths, host = paths_from_environment(), RealHost()
    forced = frozenset({component}) if force else frozenset()
    request = request_for(host, paths, "reload", force=forced, timeout_s=timeout_s)
    outcome = converge(host, paths, request, progress_on_stderr(as_json))
    return _reloaded(host, paths, outcome)


def _reloaded(host: HostReader, paths: Paths, outcome: Outcome) -> Reloaded:
    warnings = [
        Finding(problem.what, why=problem.why, fix=problem.fix)
        for problem in (
            *login_warnings(outcome.config),
            *certificate_warnings(outcome.config.https, outcome.facts.of(CertificateFacts).files),
        )
    ]
    warnings += outcome.warnings
    warnings += isolation_findings(host, outcome.config)
    limits = limits_in(outcome.config, outcome.facts.of(ServerFacts).size)
    warnings += quota_findings(host, outcome.config, limits)
    return Reloaded(
        outcome.plan, outcome.number, tuple(warnings), advice(paths, outcome), outcome.kept
    )


def advice(paths: Paths, outcome: Outcome) -> str | None:
    """What is left to do by hand after this change."""
    from tljh.certificates.authority_trust import trust_advice
    from tljh.certificates.local_authority import AUTHORITY, DIRECTORY
    from tljh.users.claims import claim_file

    changed = {step.resource.name for step in outcome.plan.steps}
    state = paths.state_dir
    advice = [
        f"{admin} has no password yet. A link to set it: sudo tljh user claim {admin}"
        for admin in outcome.config.users.admin
        if str(claim_file(state, admin)) in changed
    ]
    authority = outcome.facts.of(CertificateFacts).authority
    if authority and any(name.endswith(f"/{DIRECTORY}/{AUTHORITY}") for name in changed):
        advice.append(trust_advice(outcome.config, authority).as_text())
    return "\n".join(advice) or None


def history() -> History:
    """List the states that were applied: when, by whom, and what changed."""
    paths, host = paths_from_environment(), RealHost()
    return History(tuple(Journal(paths.journal_dir).entries(host)))


def rollback(
    number: Annotated[int | None, Argument("N", "Which; without it, the one before this.")] = None,
    *,
    as_json: bool = False,
) -> Reloaded:
    """Bring back a state of the history; 1 is as installed."""
    paths, host = paths_from_environment(), RealHost()
    journal = Journal(paths.journal_dir)
    if number is None:
        numbers = journal.numbers(host)
        if len(numbers) < 2:
            raise TljhError(
                "there is no earlier state to go back to",
                why="the history holds only the state as installed",
                fix="see it: sudo tljh-config history",
            )
        number = numbers[-2]
    entry = journal.entry(host, number)
    request = request_for(host, paths, f"rollback {number}", files=entry.files)
    outcome = converge(host, paths, request, progress_on_stderr(as_json))
    return _reloaded(host, paths, outcome)
