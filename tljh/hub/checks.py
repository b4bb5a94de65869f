"""Checks."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.hub.health import doors, problem_of
from tljh.operations.checks import Subject, check


@check("answers")
def _answers(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    if subject.config is None or subject.facts is None:
        return
    if subject.host.readlink(subject.paths.hub) is None:
        return  # told by another check, and nothing can answer
    at = doors(subject.config, subject.facts.instance)
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
