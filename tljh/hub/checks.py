"""Checks of the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.base.well_known import CULLER, HUB_UNIT
from tljh.hub.configuration import CULLER_MODULE
from tljh.hub.database_checks import check_database, check_place
from tljh.hub.facts import DROP_INS
from tljh.hub.health import find_problem, get_health_urls
from tljh.hub.internal_ssl_checks import check_internal_ssl
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.proxy.facts import ProxyFacts

# How long a round of the culler may take after its interval.
CULLER_GRACE_S = 30


_REFUSED_CULLER = re.compile(rf" 403 [A-Z]+ \S+ \({CULLER}@")


def _check_answers(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.facts is None:
        return
    if not subject.is_installed:
        return  # the check "installed" reports it
    urls = get_health_urls(subject.config, subject.facts.of(ProxyFacts).instance)
    for what, url in (("the hub", urls.hub), ("the hub through the proxy", urls.public)):
        problem = find_problem(subject.host.http("GET", url, verify=False), urls.instance)
        if problem:
            yield (
                Severity.BROKEN,
                Finding(
                    f"{what} does not answer as it should at {url}",
                    why=problem,
                    fix="sudo tljh-config reload; if that does not help: tljh logs",
                ),
            )


def _check_admins(subject: CheckedMachine) -> Iterator[Result]:
    config, facts = subject.config, subject.facts
    if config is None or facts is None or config.users.admin:
        return
    traits = [*config.auth.classes.values(), *config.traitlets.values()]
    has_trait = any(name.startswith("admin_") for section in traits for name in section)
    # A drop-in is a program: it may name admins if it has the word.
    has_drop_in = any(
        b"admin" in data for name, data in facts.files_in(DROP_INS).items() if name.endswith(".py")
    )
    if not has_trait and not has_drop_in:
        yield (
            Severity.FINE,
            Finding(
                "the hub has no admin",
                why="users.admin is empty; a user with sudo on this machine can do everything",
                fix="sudo tljh user add NAME --admin",
            ),
        )


def _check_culler(subject: CheckedMachine) -> Iterator[Result]:
    """Report an idle culler that does not run, or to which the hub refuses what it asks for."""
    config, host = subject.config, subject.host
    if config is None or not config.services.cull.enabled or not host.unit(HUB_UNIT).is_active:
        return
    fix = "remove what drop-ins and plugins set for JupyterHub.services and load_roles, then: "
    fix += "sudo tljh-config reload"
    # 1: no process; anything else is a machine without pgrep.
    if host.query(["pgrep", "--full", "--uid", "root", CULLER_MODULE]).code == 1:
        what = "the idle culler does not run: idle servers are never stopped"
        yield Severity.DEGRADED, Finding(what, fix=fix)
        return
    since = f"-{2 * config.services.cull.every + CULLER_GRACE_S}s"
    argv = ["journalctl", "-u", HUB_UNIT, "--since", since, "--no-pager", "-q", "-o", "cat"]
    refusals = [line for line in host.query(argv).out.splitlines() if _REFUSED_CULLER.search(line)]
    if refusals:
        what = "the hub refuses the idle culler: idle servers are never stopped"
        yield Severity.DEGRADED, Finding(what, why=refusals[-1], fix=fix)


CHECKS = (
    Check("answers", _check_answers),
    Check("admins", _check_admins),
    Check("idle culler", _check_culler, is_quick=False),
    Check("internal ssl", check_internal_ssl),
    Check("database", check_database, quick_look=check_place),
)
