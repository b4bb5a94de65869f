"""All users known to the lists, the hub, the password file or the machine, for `tljh user`."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tljh.base.paths import Paths
from tljh.host.accounts import find_account_name, find_managed_accounts, get_login, is_expired
from tljh.host.interface import HostReader, UserInfo
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.settings.derived import get_api_url, uses_claims
from tljh.users.declared_access import DeclaredAccess, HubUser, collect_declared
from tljh.users.effective_lists import read_effective
from tljh.users.facts import find_logins_with_password

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class UserRecord:
    """A user, as all sources together describe them.

    `access` is `listed` (in users.allowed or users.admin), `added` (to the hub itself, for
    example on its admin page), `banned`, or `none` (only an account is left). `has_password` is
    None if the authenticator keeps no passwords here.
    """

    name: str
    access: str
    is_admin: bool
    account: str | None
    is_locked: bool
    has_password: bool | None
    servers: tuple[str, ...]
    groups: tuple[str, ...]
    last_activity: str
    home: str | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class UserDirectory:
    """All users by name; `hub_answers` is false if the hub's own users are missing."""

    users: dict[str, UserRecord]
    hub_answers: bool


def read_user_directory(host: HostReader, config: Config, paths: Paths) -> UserDirectory:
    """Collect users from the lists, the hub, the password file and the machine's accounts."""
    declared = read_effective_access(host, config, paths)
    token = read_token(host, paths.hub_token)
    users = HubApi(host, get_api_url(config.base_url), token).users() if token else None
    in_hub = {user.name: user for user in users or ()}
    has_own_accounts = config.users.accounts == "managed"
    # Ordinary accounts of the machine (users.accounts: existing) carry no mark and are named like
    # the login, so they are looked up by name below.
    managed = find_managed_accounts(host) if has_own_accounts else []
    accounts = {get_login(user): user for user in managed}
    keeps_passwords = uses_claims(config)
    with_password = find_logins_with_password(config, paths) if keeps_passwords else frozenset()
    names = declared.allowed | declared.admins | declared.banned | set(in_hub) | set(accounts)
    records = {}
    for name in sorted(names):
        user = in_hub.get(name, HubUser(name))
        account = accounts.get(name) or _find_account(host, name, has_own_accounts)
        if name in declared.banned:
            access = "banned"
        elif name in declared.permitted:
            access = "listed"
        else:
            access = "added" if name in in_hub else "none"
        records[name] = UserRecord(
            name,
            access,
            user.is_admin or name in declared.admins,
            account.name if account else None,
            is_expired(host, account.name) if account else False,
            name in with_password if keeps_passwords else None,
            user.servers,
            tuple(sorted(declared.groups_of(name))),
            user.last_activity,
            account.home if account else None,
        )
    return UserDirectory(records, users is not None)


def read_effective_access(host: HostReader, config: Config, paths: Paths) -> DeclaredAccess:
    """Return the lists that the hub loaded; those of config.yaml before the first start.

    A section of a class, a drop-in or a plugin can add to the lists of config.yaml.
    """
    declared = collect_declared(config)
    lists = read_effective(host.read(paths.hub_lists))
    if lists is None:
        return declared
    return replace(declared, allowed=lists.allowed, admins=lists.admins, banned=lists.banned)


def _find_account(host: HostReader, login: str, is_own: bool) -> UserInfo | None:
    name = find_account_name(host, login) if is_own else login
    return host.user(name) if name else None
