"""Passwords that admins give to users: first ones, new ones, and forgetting them."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.interruptions import held_back
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.file_resources import Absent
from tljh.engine.resource import Resource
from tljh.host.interface import Host
from tljh.host.password_store import hash_password
from tljh.host.secret_files import read_token
from tljh.host.server_records import ServerPlace
from tljh.hub.api_client import Action, HubApi
from tljh.hub.throttle_resource import ClearedThrottle
from tljh.operations.user_changes import HubUsers, change_users
from tljh.settings.derived import get_api_url, keeps_passwords, uses_first_use, uses_native
from tljh.users.changed_passwords import NativePassword, NewPassword
from tljh.users.claims import claim_file, used_claim_file
from tljh.users.first_passwords import FirstPasswords
from tljh.users.forgotten_passwords import ForgottenPasswords

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Without letters that look alike: passwords are read aloud and copied from paper.
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


GENERATED_LENGTH = 14


def make_password() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(GENERATED_LENGTH))


def make_first_passwords(users: HubUsers, passwords: Mapping[str, str]) -> list[FirstPasswords]:
    """Return the resource that stores first passwords, by lower-case login name.

    Raises TljhError if the authenticator does not keep passwords on this machine.
    """
    if not passwords:
        return []
    if not uses_first_use(users.config):
        raise make_no_passwords_error(users.config)
    hashes = {name: hash_password(password) for name, password in passwords.items()}
    return [FirstPasswords(users.paths.passwords, hashes)]


def make_no_passwords_error(config: Config) -> TljhError:
    """Return the error for setting a password while the authenticator keeps none here."""
    if uses_native(config):
        return TljhError(
            "the native authenticator takes no first password from this command",
            why="users choose their password when they sign up",
            fix=f"send them to {config.base_url}hub/signup; a forgotten password can be reset",
        )
    return TljhError(
        f"auth.type {config.auth.type} keeps no passwords on this machine",
        why="users log in with a password that is kept elsewhere",
        fix="change the password where it is kept",
    )


def reset_password(
    users: HubUsers, name: str, password: str, progress: Progress, *, log_out: bool
) -> str:
    """Give a user a new password, clear the throttle of the login, and return the login name.

    The user's sessions end: another person who knew the old password is out. `log_out` also ends
    tokens and servers. Raises TljhError for an unknown user, and if the authenticator does not keep
    passwords on this machine.
    """
    host, paths, config = users.host, users.paths, users.config
    login = users.named(name).name
    if not keeps_passwords(config):
        raise make_no_passwords_error(config)
    password_hash = hash_password(password)
    # A signal comes before all of it or too late: no old session outlives the old password.
    with held_back():
        change_users(
            users,
            f"user reset-password {login}",
            lambda text: text,
            progress,
            more=[
                _new_password(users, login, password_hash),
                Absent(claim_file(paths.claims_dir, login)),
                ClearedThrottle(login, get_api_url(config.base_url), paths.hub_token),
            ],
        )
        action: Action = "log-out" if log_out else "end-sessions"
        connect_to_hub(host, paths, config).act(action, login)
    return login


def _new_password(users: HubUsers, login: str, password_hash: bytes) -> Resource:
    if not uses_native(users.config):
        return NewPassword(users.paths.passwords, login, password_hash)
    server = ServerPlace.read(users.paths)
    password = NativePassword(users.paths.hub_database, login, password_hash, server)
    if password.read() is None:
        raise TljhError(
            f"{login} has no password yet",
            why="with the native authenticator users choose it when they sign up",
            fix=f"sudo tljh user claim {shlex.quote(login)} makes a link that sets the first one",
        )
    return password


def make_forgotten_passwords(users: HubUsers, names: Sequence[str]) -> list[Resource]:
    """Return the resources that delete claim links and passwords on this machine.

    The next user with one of these names must not be able to log in with the old password.
    """
    paths = users.paths
    resources: list[Resource] = [Absent(claim_file(paths.claims_dir, name)) for name in names]
    resources += [Absent(used_claim_file(paths.claims_dir, name)) for name in names]
    if keeps_passwords(users.config):
        # Also with native: its next start imports the first-use passwords that are left.
        resources.append(ForgottenPasswords(paths.passwords, tuple(names)))
    if uses_native(users.config):
        server = ServerPlace.read(paths)
        resources += [NativePassword(paths.hub_database, name, None, server) for name in names]
    return resources


def forget_in_hub(users: HubUsers, config: Config, name: str) -> None:
    """Have the running hub delete a removed user's password, if another authenticator keeps it."""
    if not keeps_passwords(config):
        connect_to_hub(users.host, users.paths, config).act("forget", name)


def connect_to_hub(host: Host, paths: Paths, config: Config) -> HubApi:
    """Return a client of the running hub's API, with the token of tljh's commands."""
    token = read_token(host, paths.hub_token) or ""
    return HubApi(host, get_api_url(config.base_url), token)
