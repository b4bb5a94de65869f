"""Check of the machine's identity: whether it is a copy that shares its secrets with another."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.identity.facts import IdentityFacts, find_differences
from tljh.plugins.checks import Check, CheckedMachine, Result


def _check(subject: CheckedMachine) -> Iterator[Result]:
    if subject.facts is None:
        return
    differences = find_differences(subject.facts.of(IdentityFacts))
    if differences:
        yield (
            Severity.DEGRADED,
            Finding(
                "this machine is a copy of another one, and has the same secrets",
                why="; ".join(differences),
                fix="sudo tljh rotate all (users log in again); before a machine is copied: "
                "sudo tljh generalize",
            ),
        )


CHECKS = (Check("the machine has secrets of its own", _check),)
