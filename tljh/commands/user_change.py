"""`tljh user add`, `remove`, `disable`, `enable`, `reset-password`: people who come and go."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import PASSWORDS, TOKEN_FILE, Paths
from tljh.base.well_known import SHORTEST_PASSWORD
from tljh.commands.parameters import NameArgument, NamesArgument, Option, Summary
from tljh.commands.user_notes import notes_on_adding, notes_on_removing, notes_on_sign_ups
from tljh.host.home_archive import archive_home
from tljh.host.password_store import hash_password, store_hash
from tljh.host.real import RealHost
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.hub.user_directory import Person
from tljh.operations.converge import Outcome
from tljh.operations.public_address import public_url
from tljh.operations.user_changes import (
    change_lists,
    everybody,
    first_passwords,
    keeps_no_passwords,
    person_named,
)
from tljh.settings.derived import api_url, uses_claims, uses_first_use, uses_native
from tljh.settings.login_providers import provider_of
from tljh.users.claims import claim_file, read_claim
from tljh.users.list_edits import (
    ADMINS,
    ALLOWED,
    BANNED,
    GROUPS,
    add_names,
    names_at,
    remove_names,
    remove_users,
)

if TYPE_CHECKING:
    from tljh.settings.root import Config

# No letters that are mistaken for each other when somebody reads it aloud.
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


GENERATED_LENGTH = 14


StdinOption = Annotated[bool, Option("--stdin", "Read the password from standard input.")]


def new_password() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(GENERATED_LENGTH))


def read_password() -> str:
    """One line of standard input. Raises TljhError for one that is too short."""
    password = sys.stdin.readline().rstrip("\n")
    if len(password) < SHORTEST_PASSWORD:
        raise TljhError(
            f"the password on standard input has less than {SHORTEST_PASSWORD} characters",
            exit_code=Exit.USAGE,
        )
    return password


def add(
    names: NamesArgument,
    *,
    admin: Annotated[bool, Option("--admin", "Make them administrators.")] = False,
    group: Annotated[list[str] | None, Option("--group", "A Linux group to put them in.")] = None,
    generate: Annotated[
        bool, Option("--generate", "Make up first passwords and print them.")
    ] = False,
    stdin: StdinOption = False,
    as_json: bool = False,
) -> Summary:
    """Let people log in: add them to users.allowed or users.admin, and apply it."""
    host, paths, config, register = everybody()
    if stdin and len(names) > 1:
        raise TljhError("--stdin gives one password, for one name", exit_code=Exit.USAGE)
    for name in names:
        person = register.people.get(name.lower())
        if person and person.access == "banned":
            raise TljhError(f"{name} is banned", fix=f"sudo tljh user enable {name}")
    have_one = {one.name for one in register.people.values() if one.has_password}
    given = {name.lower(): new_password() for name in names if name.lower() not in have_one}
    given = given if generate else {}
    if stdin and names[0].lower() in have_one:
        raise TljhError(
            f"{names[0]} has a password already",
            fix=f"sudo tljh user reset-password {names[0]}",
        )
    if stdin:
        given = {names[0].lower(): read_password()}
    first = first_passwords(config, paths, given)

    def edit(text: str) -> str:
        text = add_names(text, ADMINS if admin else ALLOWED, names)
        for one in group or ():
            text = add_names(text, (*GROUPS, one), names)
        return text

    notes = notes_on_sign_ups(config, paths, names, is_admin=admin)
    outcome = change_lists(f"user add {' '.join(names)}", edit, passwords=first, as_json=as_json)
    lines, people = [], []
    for name in names:
        entry = _added(host, paths, outcome, name.lower(), given if generate else {})
        known = register.people.get(name.lower())
        was_there = known is not None and known.access == "listed"
        keeps = "; keeps the password" if generate and name.lower() in have_one else ""
        lines.append(_added_line(name, entry, was_there) + keeps)
        people.append(entry)
    notes += notes_on_adding(config, outcome.config)
    return Summary(tuple(lines), {"people": people}, notes)


def _added(
    host: RealHost, paths: Paths, outcome: Outcome, name: str, passwords: dict[str, str]
) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": name, "password": passwords.get(name), "claim": None}
    config = outcome.config
    claim = read_claim(host.read(claim_file(paths.state_dir, name)) or b"")
    if claim is not None and name in config.users.admin:
        url = public_url(config, host)
        entry["claim"] = url.removesuffix(config.base_url) + claim.path(config.base_url)
    return entry


def _added_line(name: str, entry: dict[str, Any], was_there: bool) -> str:
    line = f"{name} may log in" + (" (as before)" if was_there else "")
    if entry["password"]:
        line += f"; first password: {entry['password']}"
    if entry["claim"]:
        line += f"; sets the password here, once: {entry['claim']}"
    return line


def remove(
    names: NamesArgument,
    *,
    delete_home: Annotated[
        bool, Option("--delete-home", "Archive the home directory, then delete it.")
    ] = False,
    as_json: bool = False,
) -> Summary:
    """Put people out: no login, no servers, no tokens, no password; the account is locked."""
    host, paths, config, register = everybody()
    is_own = config.users.accounts == "managed"
    if delete_home and not is_own:
        raise TljhError(
            "homes of accounts that are the machine's own are not deleted",
            why="users.accounts is existing",
            fix="leave --delete-home out; userdel --remove deletes account and home",
            exit_code=Exit.USAGE,
        )
    people = [person_named(register, name) for name in names]
    gone = [person.name for person in people]

    outcome = change_lists(
        f"user remove {' '.join(gone)}",
        lambda text: remove_users(text, gone),
        removing=gone,
        as_json=as_json,
    )
    lines, told = [], []
    for person in people:
        _forget(host, paths, outcome.config, person.name)
        archive = _archive(host, paths, person) if delete_home else None
        lines.append(_removed_line(person, archive, is_own=is_own))
        told.append({"name": person.name, "archive": str(archive) if archive else None})
    notes = notes_on_removing(outcome.config)
    return Summary(tuple(lines), {"people": told}, notes)


def _forget(host: RealHost, paths: Paths, config: Config, name: str) -> None:
    """Drop password and claim: who gets the name next starts anew."""
    host.remove(claim_file(paths.state_dir, name))
    if uses_first_use(config):
        store_hash(paths.state_dir / PASSWORDS, name, None)
        return
    _api(host, paths, config).act("forget", name)


def _api(host: RealHost, paths: Paths, config: Config) -> HubApi:
    token = read_token(host, paths.state_dir / TOKEN_FILE) or ""
    return HubApi(host, api_url(config.base_url), token)


def _archive(host: RealHost, paths: Paths, person: Person) -> Path | None:
    if person.account is None or person.home is None:
        return None
    return archive_home(host, person.account, Path(person.home), paths.state_dir / "homes")


def _removed_line(person: Person, archive: Path | None, *, is_own: bool) -> str:
    if person.account is None:
        return f"{person.name} is removed; there was no account yet"
    if not is_own:
        return f"{person.name} is removed; the account is the machine's own and stays as it is"
    if archive is not None:
        return f"{person.name} is removed, the account locked, the home archived: {archive}"
    home = f", the home kept: {person.home}" if person.home else ""
    return f"{person.name} is removed, the account locked{home}"


def disable(names: NamesArgument, *, as_json: bool = False) -> Summary:
    """Ban people: no login, no servers, no tokens, account locked; `enable` takes it back."""
    change_lists(
        f"user disable {' '.join(names)}",
        lambda text: add_names(text, BANNED, names),
        as_json=as_json,
    )
    lines = tuple(f"{name} is disabled; files and any password are kept" for name in names)
    return Summary(lines, {"people": [{"name": name} for name in names]})


def enable(names: NamesArgument, *, as_json: bool = False) -> Summary:
    """Take back a ban: people may log in again, and their accounts are unlocked."""
    _, _, config, register = everybody()
    provider = provider_of(config.auth.type)
    people = [person_named(register, name) for name in names]

    def edit(text: str) -> str:
        text = remove_names(text, BANNED, [person.name for person in people])
        listed = {name.lower() for path in (ALLOWED, ADMINS) for name in names_at(text, path)}
        # Who was added in the hub itself lost that with the ban, and comes back by the list.
        if provider is not None and provider.lets_in == "own":
            text = add_names(text, ALLOWED, [p.name for p in people if p.name not in listed])
        return text

    change_lists(f"user enable {' '.join(names)}", edit, as_json=as_json)
    lines = tuple(f"{person.name} may log in again" for person in people)
    return Summary(lines, {"people": [{"name": person.name} for person in people]})


def reset_password(
    name: NameArgument,
    *,
    stdin: StdinOption = False,
    log_out: Annotated[bool, Option("--log-out", "End sessions, tokens and servers, too.")] = False,
) -> Summary:
    """Give somebody a new password: one that is made up and printed, or one from --stdin."""
    host, paths, config, register = everybody()
    person = person_named(register, name)
    is_native = uses_native(config)
    if not uses_claims(config):
        raise keeps_no_passwords(config)
    password = read_password() if stdin else new_password()
    if is_native:
        _api(host, paths, config).set_password(person.name, password)
    else:
        store_hash(paths.state_dir / PASSWORDS, person.name, hash_password(password))
        host.remove(claim_file(paths.state_dir, person.name))
    if log_out:
        _api(host, paths, config).act("log-out", person.name)
    shown = "" if stdin else f": {password}"
    ended = "; sessions, tokens and servers have ended" if log_out else ""
    notes = () if log_out else ("note: who is logged in stays so; to end that: --log-out",)
    return Summary(
        (f"{person.name} has a new password{shown}{ended}",),
        {"name": person.name, "password": None if stdin else password, "logged_out": log_out},
        notes,
    )
