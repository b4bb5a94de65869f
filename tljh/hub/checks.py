"""Checks of the hub."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.hub.facts import DROP_INS
from tljh.hub.health import doors, problem_of
from tljh.plugins.checks import Check, Result, Subject
from tljh.proxy.facts import ProxyFacts


def _answers(subject: Subject) -> Iterator[Result]:
    if subject.config is None or subject.facts is None:
        return
    if not subject.is_installed:
        return  # the check "installed" reports it
    at = doors(subject.config, subject.facts.of(ProxyFacts).instance)
    for what, url in (("the hub", at.hub), ("the hub through the proxy", at.public)):
        problem = problem_of(subject.host.http("GET", url, verify=False), at.instance)
        if problem:
            yield (
                Severity.BROKEN,
                Finding(
                    f"{what} does not answer as it should at {url}",
                    why=problem,
                    fix="sudo tljh-config reload; if that does not help: tljh logs",
                ),
            )


def _admins(subject: Subject) -> Iterator[Result]:
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


CHECKS = (Check("answers", _answers), Check("admins", _admins))
