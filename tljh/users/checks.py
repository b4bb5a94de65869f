"""Checks of users and their access."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.clock import utc_now
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.plugins.checks import Check, Result, Subject
from tljh.settings.derived import uses_claims
from tljh.users.facts import UserFacts


def _first_passwords(subject: Subject) -> Iterator[Result]:
    if subject.config is None or subject.facts is None or not uses_claims(subject.config):
        return
    now, users = utc_now(), subject.facts.of(UserFacts)
    for name in sorted({*subject.config.users.admin, *users.admins}):
        claim = users.claims.get(name)
        if name in users.logins_with_password:
            continue
        what = f"administrator {name} has not set a password yet"
        fix = f"sudo tljh user claim {name} makes a new link"
        if claim is not None and claim.is_valid(now):
            # As it should be after an installation: nothing is the matter with the hub.
            until = f"the claim link is good until {claim.expires:%Y-%m-%d %H:%M} UTC"
            yield Severity.FINE, Finding(what, why=until, fix=f"open it; {fix}")
        else:
            why = "the claim link has expired" if claim else "there is no claim link"
            yield Severity.DEGRADED, Finding(what, why=why, fix=fix)


def _dummy(subject: Subject) -> Iterator[Result]:
    if subject.config and subject.config.auth.type.rpartition(".")[2].lower() in (
        "dummy",
        "dummyauthenticator",
    ):
        yield (
            Severity.DEGRADED,
            Finding(
                "auth.type is dummy, which lets anyone in under any name",
                fix="choose another: tljh-config describe auth.type",
            ),
        )


CHECKS = (
    Check("first passwords", _first_passwords),
    Check("dummy authenticator", _dummy),
)
