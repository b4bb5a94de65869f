"""Checks."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.operations.checks import Subject, check


@check("first passwords")
def _first_passwords(subject: Subject) -> Iterator[tuple[Severity, Finding]]:
    from tljh.base.clock import utc_now
    from tljh.settings.derived import uses_claims

    if subject.config is None or subject.facts is None or not uses_claims(subject.config):
        return
    now = utc_now()
    for name in subject.config.users.admin:
        claim = subject.facts.claims.get(name)
        if name in subject.facts.logins_with_password:
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
