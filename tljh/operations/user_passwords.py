"""Passwords that admins give to users: first ones, new ones, and forgetting them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent
from tljh.engine.resource import Resource
from tljh.host.interface import Host
from tljh.host.password_store import hash_password, store_hash
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.operations.user_changes import HubUsers
from tljh.settings.derived import api_url, uses_claims, uses_first_use, uses_native
from tljh.users.claims import claim_file
from tljh.users.first_passwords import FirstPasswords
from tljh.users.forgotten_passwords import ForgottenPasswords

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Without letters that look alike: passwords are read aloud and copied from paper.
LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


GENERATED_LENGTH = 14


def new_password() -> str:
    return "".join(secrets.choice(LETTERS) for _ in range(GENERATED_LENGTH))


def first_passwords(users: HubUsers, passwords: Mapping[str, str]) -> list[FirstPasswords]:
    """Return the resource that stores first passwords, by lower-case login name.

    Raises TljhError if the authenticator does not keep them on this machine.
    """
    if not passwords:
        return []
    if not uses_first_use(users.config):
        raise no_passwords_here(users.config)
    hashes = {name: hash_password(password) for name, password in passwords.items()}
    return [FirstPasswords(users.paths.passwords, hashes)]


def no_passwords_here(config: Config) -> TljhError:
    """Return the error for a password that the configured authenticator cannot be given."""
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


def reset_password(users: HubUsers, name: str, password: str, *, log_out: bool) -> str:
    """Give a user a new password, and return the login name.

    `log_out` also ends sessions, tokens and servers. Raises TljhError for an unknown user, and if
    the authenticator does not keep passwords on this machine.
    """
    host, paths, config = users.host, users.paths, users.config
    person = users.named(name)
    if not uses_claims(config):
        raise no_passwords_here(config)
    if uses_native(config):
        hub_api(host, paths, config).set_password(person.name, password)
    else:
        store_hash(paths.passwords, person.name, hash_password(password))
        host.remove(claim_file(paths.claims_dir, person.name))
    if log_out:
        hub_api(host, paths, config).act("log-out", person.name)
    return person.name


def forgotten_passwords(users: HubUsers, names: Sequence[str]) -> list[Resource]:
    """Return the resources that delete claim links and passwords on this machine.

    The next user with one of these names must not be able to log in with the old password.
    """
    paths = users.paths
    claims = [Absent(claim_file(paths.claims_dir, name)) for name in names]
    if not uses_first_use(users.config):
        return [*claims]
    return [*claims, ForgottenPasswords(paths.passwords, tuple(names))]


def forget_in_hub(users: HubUsers, config: Config, name: str) -> None:
    """Have the running hub delete a password that its authenticator keeps itself."""
    if not uses_first_use(config):
        hub_api(users.host, users.paths, config).act("forget", name)


def hub_api(host: Host, paths: Paths, config: Config) -> HubApi:
    """Return the API of the running hub, with our token."""
    token = read_token(host, paths.hub_token) or ""
    return HubApi(host, api_url(config.base_url), token)
