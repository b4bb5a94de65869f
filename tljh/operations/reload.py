"""Applying the configuration, and returning to an earlier state of the history."""

from __future__ import annotations

from dataclasses import dataclass, replace
from shlex import quote

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress, SilentProgress
from tljh.certificates.authority_trust import build_trust_advice
from tljh.certificates.facts import CertificateFacts
from tljh.certificates.own_files import find_certificate_warnings
from tljh.engine.journal import Entry, Journal
from tljh.engine.plan import Plan
from tljh.host.interface import Host, HostReader
from tljh.hub.guard import HubGuard
from tljh.operations.converge import (
    HEALTH_DEADLINE_S,
    Outcome,
    converge,
    rehearse,
    work_out,
)
from tljh.operations.install_and_reload import make_reload_request
from tljh.plugins.selection import PluginsFailed
from tljh.settings.rules.logins import find_login_warnings
from tljh.singleuser.checks import check_isolation
from tljh.singleuser.disk_limits import check_quotas
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import build_limit_policy
from tljh.users.claims import claim_file

_TRY_AFTER_REBUILD = (
    "a reload builds the environment, and tries it there before anything changes: "
    "sudo tljh-config reload"
)


@dataclass(frozen=True)
class AppliedChange:
    """A change that was applied.

    `number` is its state in the history; None if there was nothing to do. `kept` is the state
    that holds the pending edits which a rollback replaced. `advice` is left for the admin to do.
    """

    plan: Plan
    number: int | None
    kept: int | None = None
    warnings: tuple[Finding, ...] = ()
    advice: tuple[str, ...] = ()


def plan_reload(host: HostReader, paths: Paths) -> Plan:
    """Return what `reload` would change; changes nothing."""
    return work_out(host, paths, make_reload_request(host, paths, "plan")).plan


def try_reload(host: Host, paths: Paths) -> tuple[list[Finding], list[Finding]]:
    """Return why `reload` would refuse the current files, drop-ins included, and its warnings.

    What would change is tried on copies, drop-ins also when they are applied already: nobody
    else repeats their warnings. Nothing is changed.
    """
    is_tried = any(name.endswith(".py") for name in host.listdir(paths.hub_drop_ins))
    force = frozenset({"hub"} if is_tried else ())
    try:
        outcome = work_out(host, paths, make_reload_request(host, paths, "check", force=force))
        warnings = []
        if outcome.rebuild:
            # The current environment lacks the packages, so that its Python would refuse them.
            others = [each for each in outcome.resources if not isinstance(each, HubGuard)]
            outcome = replace(outcome, resources=others)
            what = f"the hub has not tried this configuration: {outcome.rebuild}"
            warnings = [Finding(what, fix=_TRY_AFTER_REBUILD)]
        return [], [*warnings, *rehearse(host, outcome, SilentProgress())]
    except PluginsFailed as error:
        # The hub goes on without them.
        return [], list(error.findings)
    except TljhError as error:
        return list(error.findings), []


def reload(
    host: Host,
    paths: Paths,
    progress: Progress,
    *,
    force: frozenset[str] = frozenset(),
    timeout_s: float = HEALTH_DEADLINE_S,
) -> AppliedChange:
    """Apply every change of the configuration, or roll back and raise TljhError.

    `force` names `hub` or `proxy`, which restart even if nothing of theirs changed. The hub has
    `timeout_s` to answer again.
    """
    request = make_reload_request(host, paths, "reload", force=force, timeout_s=timeout_s)
    return _describe_applied(host, paths, converge(host, paths, request, progress))


def read_history(host: HostReader, paths: Paths) -> tuple[Entry, ...]:
    """Return the states that were applied, oldest first."""
    return tuple(Journal(paths.journal_dir).entries(host))


def rollback(host: Host, paths: Paths, number: int | None, progress: Progress) -> AppliedChange:
    """Apply state `number` of the history again; by default, the one before the current.

    Raises TljhError if there is no such state, and if the change was rolled back.
    """
    journal = Journal(paths.journal_dir)
    if number is None:
        numbers = journal.numbers(host)
        if len(numbers) < 2:
            raise TljhError(
                "there is no earlier state to roll back to",
                why="the history has only the state as installed",
                fix="list the states: sudo tljh-config history",
            )
        number = numbers[-2]
    # An earlier state is applied like any change: planned, journalled, and kept as a new state.
    entry = journal.entry(host, number)
    request = make_reload_request(host, paths, f"rollback {number}", files=entry.files)
    return _describe_applied(host, paths, converge(host, paths, request, progress))


def _describe_applied(host: HostReader, paths: Paths, outcome: Outcome) -> AppliedChange:
    warnings = [
        problem.as_finding()
        for problem in (
            *find_login_warnings(outcome.config),
            *find_certificate_warnings(
                outcome.config.https, outcome.facts.of(CertificateFacts).files
            ),
        )
    ]
    warnings += outcome.warnings
    warnings += check_isolation(host, outcome.config)
    limits = build_limit_policy(outcome.config, outcome.facts.of(ServerFacts).size)
    warnings += check_quotas(host, outcome.config, limits)
    return AppliedChange(
        outcome.plan,
        outcome.number,
        outcome.kept,
        tuple(warnings),
        tuple(give_advice(paths, outcome)),
    )


def give_advice(paths: Paths, outcome: Outcome) -> list[str]:
    """Return the commands and steps that are left to the admin after this change."""
    changed = {step.resource.name for step in outcome.plan.steps}
    lines = [
        f"{admin} has no password yet. For a link to set it: sudo tljh user claim {quote(admin)}"
        for admin in outcome.config.users.admin
        if str(claim_file(paths.claims_dir, admin)) in changed
    ]
    authority = outcome.facts.of(CertificateFacts).authority
    if authority and str(paths.local_ca.certificate) in changed:
        lines.append(build_trust_advice(outcome.config, authority).as_text())
    return lines
