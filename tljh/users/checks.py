"""Checks of users and their access."""

from __future__ import annotations

from collections.abc import Iterator

from tljh.base.clock import utc_now
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.accounts import ADMINS_GROUP, managed_accounts
from tljh.plugins.checks import Check, Result, Subject
from tljh.settings.derived import uses_claims
from tljh.users.declared_access import account_or_none
from tljh.users.facts import UserFacts
from tljh.users.power_groups import POWER_GROUPS


def _first_passwords(subject: Subject) -> Iterator[Result]:
    if subject.config is None or subject.facts is None or not uses_claims(subject.config):
        return
    users = subject.facts.of(UserFacts)
    for name in sorted({*subject.config.users.admin, *users.admins}):
        claim = users.claims.get(name)
        if name in users.logins_with_password:
            continue
        what = f"admin {name} has not set a password yet"
        fix = f"sudo tljh user claim {name} makes a new link"
        if claim is not None and claim.is_valid(utc_now()):
            # Normal after an installation, so not a fault of the hub.
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
                "auth.type is dummy, which allows a login under any name",
                fix="choose another: tljh-config describe auth.type",
            ),
        )


def _powerful_members(subject: Subject) -> Iterator[Result]:
    if subject.facts is None:
        return
    admins = {account_or_none(login) for login in subject.facts.of(UserFacts).admins}
    managed = {user.name for user in managed_accounts(subject.host)}
    for name in sorted(POWER_GROUPS):
        group = subject.host.group(name)
        members = managed & set(group.members) if group else set()
        # Admins are in their own group; any other way to root is worth a word.
        for account in sorted(members - (admins if name == ADMINS_GROUP else set())):
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{account} can become root: it is in the group {name}",
                    why=None if name != ADMINS_GROUP else "but the user is no admin of the hub",
                    fix=f"sudo gpasswd --delete {account} {name}",
                ),
            )


CHECKS = (
    Check("groups that give root", _powerful_members, is_quick=False),
    Check("first passwords", _first_passwords),
    Check("dummy authenticator", _dummy),
)
