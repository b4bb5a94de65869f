"""Importing a class from a CSV file, in one change."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, format_count
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.host.password_store import hash_password
from tljh.host.power_groups import OPTION, find_power_groups, read_power_groups
from tljh.operations.converge import Outcome
from tljh.operations.public_address import format_claim_link
from tljh.operations.user_changes import HubUsers, change_users
from tljh.operations.user_notes import (
    find_without_password,
    make_no_pages_error,
    warn_without_password,
)
from tljh.operations.user_passwords import make_no_passwords_error, make_password
from tljh.settings.derived import serves_login_page, uses_first_use, uses_native
from tljh.users.claims import CLASS_LIFETIME, claim_file, make_claim, read_claim
from tljh.users.csv_file import ClassListEntry, read_roster
from tljh.users.first_passwords import FirstPasswords
from tljh.users.list_edits import ADMINS, ALLOWED, GROUPS, add_names

if TYPE_CHECKING:
    from tljh.settings.root import Config

Given = Literal["passwords", "claim links"]


@dataclass(frozen=True)
class GivenAccess:
    """What a user without a password is given: a first password, or a claim link."""

    name: str
    password: str | None = None
    claim_link: str | None = None
    expires: str | None = None


def read_entries(
    users: HubUsers, data: bytes, column: str | None = None, *, gives_root: bool = False
) -> tuple[ClassListEntry, ...]:
    """Parse a CSV file and return for each line whether its user is new, known or invalid.

    `column` is the heading of the column with the login names, where several can be it. Without
    `gives_root`, a user with a group that gives root is invalid.

    Raises TljhError for passwords that the configured authenticator cannot be given.
    """
    config = users.config
    listed = [name for name, user in users.directory.users.items() if user.access == "listed"]
    shortest_password = SHORTEST_PASSWORD if uses_first_use(config) else 0
    powers = () if gives_root else tuple(read_power_groups(users.host))
    entries = [
        _check_entry(users, entry, powers)
        for entry in read_roster(data, listed, shortest_password, column)
    ]
    if any(entry.password for entry in entries) and not uses_first_use(config):
        raise make_no_passwords_error(config)
    return tuple(entries)


def _check_entry(
    users: HubUsers, entry: ClassListEntry, refused_groups: Sequence[str]
) -> ClassListEntry:
    if entry.state == "skipped":
        return entry
    problem = ""
    powerful = find_power_groups(entry.groups, refused_groups)
    if entry.name.lower() in users.config.users.banned:
        problem = f"is banned; first: sudo tljh user enable {shlex.quote(entry.name)}"
    elif powerful:
        problem = f"would become root by the group {powerful[0]}; if that is intended: {OPTION}"
    return replace(entry, state="invalid", problem=problem) if problem else entry


def import_entries(
    users: HubUsers,
    entries: Sequence[ClassListEntry],
    file_name: str,
    progress: Progress,
    *,
    gives: Given | None = None,
) -> tuple[tuple[GivenAccess, ...], tuple[str, ...]]:
    """Add the users of all valid entries to the lists, and apply it; `file_name` is for history.

    Returns what is to be handed to users who have no password yet, as `gives` says, and notes.
    Raises TljhError if the authenticator cannot be given that.
    """
    if gives is not None:
        _refuse_gift(users.config, gives)
    valid = [entry for entry in entries if entry.state in ("new", "known")]
    logins = find_without_password(users, [entry.name for entry in valid if not entry.password])
    passwords = {entry.name.lower(): entry.password for entry in valid if entry.password}
    generated = {login: make_password() for login in logins} if gives == "passwords" else {}
    links = class_claims(users, valid, logins) if gives == "claim links" else []
    outcome = change_users(
        users,
        f"user import {file_name}",
        lambda text: _add_entries(text, valid),
        progress,
        more=[*_make_first_passwords(users, {**passwords, **generated}, progress), *links],
    )
    if gives is None:
        return (), warn_without_password(users, logins, is_class=True)
    return tuple(_access(users, outcome, login, generated) for login in logins), ()


def _refuse_gift(config: Config, gives: Given) -> None:
    if gives == "claim links" and not serves_login_page(config):
        raise make_no_pages_error(config, "NAME")
    if uses_first_use(config) or (uses_native(config) and gives == "claim links"):
        return
    if uses_native(config):
        raise TljhError(
            "the native authenticator takes no passwords from this command",
            why="users choose them: when they sign up, or with a claim link",
            fix="give each a claim link: --claim-links in place of --generate",
        )
    raise make_no_passwords_error(config)


def class_claims(
    users: HubUsers, entries: Sequence[ClassListEntry], logins: Sequence[str]
) -> list[Resource]:
    """Return a claim for each of `logins` without an open one.

    The parts declare those of new admins.
    """
    admins = {entry.name.lower() for entry in entries if entry.is_admin}
    admins.update(users.config.users.admin)
    resources: list[Resource] = []
    for login in logins:
        path = claim_file(users.paths.claims_dir, login)
        data = users.host.read(path)
        claim = read_claim(data or b"")
        if (claim and claim.is_valid(get_utc_time())) or (data is None and login in admins):
            continue
        content = make_claim(login, lifetime=CLASS_LIFETIME).as_bytes()
        resources.append(File(path, content, 0o600, secret=True))
    return resources


def _access(
    users: HubUsers, outcome: Outcome, login: str, generated: Mapping[str, str]
) -> GivenAccess:
    if login in generated:
        return GivenAccess(login, password=generated[login])
    claim = read_claim(users.host.read(claim_file(users.paths.claims_dir, login)) or b"")
    if claim is None:
        return GivenAccess(login)
    link = format_claim_link(outcome.config, users.host, claim)
    return GivenAccess(login, claim_link=link, expires=f"{claim.expires:%Y-%m-%d %H:%M} UTC")


def _add_entries(text: str, entries: Sequence[ClassListEntry]) -> str:
    text = add_names(text, ALLOWED, [entry.name for entry in entries if not entry.is_admin])
    text = add_names(text, ADMINS, [entry.name for entry in entries if entry.is_admin])
    for group in dict.fromkeys(group for entry in entries for group in entry.groups):
        members = [entry.name for entry in entries if group in entry.groups]
        text = add_names(text, (*GROUPS, group), members)
    return text


def _make_first_passwords(
    users: HubUsers, passwords: Mapping[str, str], progress: Progress
) -> list[FirstPasswords]:
    """Hash first passwords by login name, on every core: each takes 0.2 s."""
    if not passwords:
        return []
    with (
        progress.step(f"hash {format_count(len(passwords), 'password')}"),
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        hashes = {}
        results = pool.map(hash_password, passwords.values())
        for name, password_hash in zip(passwords, results, strict=True):
            hashes[name] = password_hash
            progress.advance(len(hashes), len(passwords))
    return [FirstPasswords(users.paths.passwords, hashes)]
