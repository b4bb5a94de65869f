"""Checks of users and their access."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from tljh.base.account_names import PREFIX
from tljh.base.clock import get_utc_time
from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.host.accounts import (
    ADMINS_GROUP,
    find_account_name,
    find_home_conflict,
    find_managed_accounts,
    format_home_fix,
    list_home_roots,
    read_home_marker,
)
from tljh.host.interface import HostReader
from tljh.host.power_groups import read_power_groups
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.settings.derived import uses_claims
from tljh.users.facts import UserFacts


def _check_first_passwords(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config is None or subject.facts is None or not uses_claims(subject.config):
        return
    users = subject.facts.of(UserFacts)
    for name in sorted({*subject.config.users.admin, *users.admins}):
        claim = users.claims.get(name)
        if name in users.logins_with_password:
            continue
        what = f"admin {name} has not set a password yet"
        fix = f"sudo tljh user claim {quote(name)} makes a new link"
        if claim is not None and claim.is_valid(get_utc_time()):
            # Normal after an installation, so not a fault of the hub.
            until = f"the claim link is good until {claim.expires:%Y-%m-%d %H:%M} UTC"
            yield Severity.FINE, Finding(what, why=until, fix=f"open it; {fix}")
        else:
            why = "the claim link has expired" if claim else "there is no claim link"
            yield Severity.DEGRADED, Finding(what, why=why, fix=fix)


def _check_dummy(subject: CheckedMachine) -> Iterator[Result]:
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


def _check_powerful_members(subject: CheckedMachine) -> Iterator[Result]:
    if subject.facts is None:
        return
    host, powers = subject.host, read_power_groups(subject.host)
    admins = {find_account_name(host, login) for login in subject.facts.of(UserFacts).admins}
    managed = {user.name for user in find_managed_accounts(host)}
    for name, reason in sorted(powers.items()):
        group = host.group(name)
        if subject.config and name in subject.config.users.groups:
            # The accounts join when their servers start, so the setting alone is the fault.
            what = f"every user can become root: users.groups has {name}"
            fix = f"sudo tljh-config remove-item users.groups {quote(name)}, then reload"
            yield Severity.DEGRADED, Finding(what, why=reason, fix=fix)
            continue
        members = managed & set(group.members) if group else set()
        if subject.config:
            logins = subject.config.users.extra_user_groups.get(name, ())
            members |= {find_account_name(host, login) or login for login in logins}
        # Admins are in their own group; any other way to root is worth a word.
        for account in sorted(members - (admins if name == ADMINS_GROUP else set())):
            yield (
                Severity.DEGRADED,
                Finding(
                    f"{account} can become root: it is in the group {name}",
                    why=reason if name != ADMINS_GROUP else "but the user is no admin of the hub",
                    fix=_suggest_removal(subject, account, name),
                ),
            )


def _suggest_removal(subject: CheckedMachine, account: str, group: str) -> str:
    """Return the command that ends a membership where it is declared."""
    members = subject.config.users.extra_user_groups.get(group, ()) if subject.config else ()
    for login in members:
        if account in (login, find_account_name(subject.host, login)):
            key = f"users.extra_user_groups.{group}"
            return f"sudo tljh-config remove-item {quote(key)} {quote(login)}, then reload"
    return f"sudo gpasswd --delete {quote(account)} {quote(group)}"


def _check_homes(subject: CheckedMachine) -> Iterator[Result]:
    for user in find_managed_accounts(subject.host):
        conflict = find_home_conflict(subject.host, user)
        if conflict is not None:
            yield Severity.DEGRADED, conflict
    if subject.config is not None:
        for conflict in _find_homes_without_account(
            subject.host, Path(subject.config.users.home_root)
        ):
            yield Severity.DEGRADED, conflict


def _find_homes_without_account(host: HostReader, home_root: Path) -> Iterator[Finding]:
    """Report homes of users without an account, where another user of the hub owns the files."""
    names = {user.name for user in find_managed_accounts(host)}
    homes = [
        root / name for root in list_home_roots(host, home_root) for name in host.listdir(root)
    ]
    for home in homes:
        name, info = home.name, host.info(home)
        if info is None or info.kind != "directory" or info.owner not in names:
            continue
        if name.startswith(PREFIX) and name not in names:
            yield Finding(
                f"{home} belongs to {info.owner}, and {name} has no account",
                why="it came from another machine, where the user had this uid",
                fix=format_home_fix(host, home, info.owner, name.removeprefix(PREFIX)),
            )


def _check_disk(subject: CheckedMachine) -> Iterator[Result]:
    marker = read_home_marker(subject.host, subject.paths)
    if marker is not None and subject.host.info(marker) is None:
        yield (
            Severity.BROKEN,
            Finding(
                f"the disk with the home directories is not at {marker.parent}: no server starts",
                why=f"{marker} is missing, which is on it",
                fix="sudo mount -a; if that does not help, look at the line in /etc/fstab",
            ),
        )


CHECKS = (
    Check("homes", _check_homes, is_quick=False),
    Check("disk of the homes", _check_disk),
    Check("groups that give root", _check_powerful_members, is_quick=False),
    Check("first passwords", _check_first_passwords),
    Check("dummy authenticator", _check_dummy),
)
