"""Records of users in the hub's database, kept true to the lists that the hub loads.

JupyterHub adds a record to its database for each name in a list, and makes those in the list of
admins admins. It removes nothing when a list no longer has the name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jupyterhub import orm

from tljh.base.clock import get_utc_time
from tljh.base.paths import Paths
from tljh.host.accounts import end_servers, find_account_name
from tljh.host.interface import Host
from tljh.host.password_store import store_hash
from tljh.host.real import RealReader
from tljh.users.declared_access import read_declared
from tljh.users.effective_lists import EffectiveLists, read_effective

# Unfiltered, each of these gives its holder other users' servers, tokens or accounts.
POWERFUL_SCOPES = ("admin:", "admin-ui", "access:servers", "servers", "tokens", "users", "shutdown")


def has_admin_rights(user: orm.User | None) -> bool:
    """Return whether a user in the hub has power over others: as admin, by role or by group."""
    if user is None:
        return False
    roles = [*user.roles, *(role for group in user.groups for role in group.roles)]
    scopes = {scope for role in roles for scope in role.scopes}
    return bool(user.admin) or any(
        "!" not in scope and (scope in POWERFUL_SCOPES or scope.startswith("admin:"))
        for scope in scopes
    )


def has_logged_in(user: orm.User | None) -> bool:
    """Return whether a user in the hub's database has ever logged in or had a server."""
    return user is not None and user.last_activity is not None


def has_account(login: str) -> bool:
    """Return whether this machine has an account, and so a home, for a login name."""
    host = RealReader()
    account = find_account_name(host, login)
    return account is not None and host.user(account) is not None


def collect_effective_lists(
    authenticator: Any,
    groups: Iterable[Iterable[str]] = (),
    roles: Iterable[Mapping[str, Any]] = (),
    time: datetime | None = None,
) -> EffectiveLists:
    """Return the users that the hub's configuration allows, blocks, has as admins, or names.

    `groups` are the members of each loaded group, `roles` the loaded roles. JupyterHub makes
    records for the users in both, and admins of those in the role `admin`. Names are normalized as
    the authenticator normalizes a login.
    """

    def names(values: Iterable[str]) -> frozenset[str]:
        return frozenset(authenticator.normalize_username(name) for name in values)

    holders = {str(role["name"]): names(role.get("users") or ()) for role in roles}
    return EffectiveLists(
        time or get_utc_time(),
        names(authenticator.allowed_users),
        names(authenticator.admin_users) | holders.get("admin", frozenset()),
        names(authenticator.blocked_users),
        frozenset(name for names in (*groups, *holders.values()) for name in names),
        _get_path_of_class(authenticator),
    )


def _get_path_of_class(authenticator: Any) -> str:
    """Return the path of the class that was chosen; the hub runs a subclass of the same name."""
    name = type(authenticator).__name__
    chosen = [cls for cls in type(authenticator).__mro__ if cls.__name__ == name][-1]
    return f"{chosen.__module__}.{chosen.__qualname__}"


def remove_uncommitted(db: Any, host: Host, paths: Paths, current: EffectiveLists) -> list[str]:
    """Delete users that only a hub with a rolled back configuration added; return their names.

    A hub makes records for its lists when it starts, before anything decides whether the change is
    kept. The ledger has the lists of the last change that was kept. So a name that the hub before
    this one loaded, that this one does not, and that is not in the ledger, was never allowed: its
    record goes, with a password that a stranger set meanwhile. An older record stays, without the
    rights of an admin: the failed hub gave them to it.
    """
    previous = read_effective(host.read(paths.hub_lists))
    committed = read_declared(host.read(paths.ledger))
    if previous is None or committed is None:
        # Before the first change was kept, nothing tells names that were allowed from others.
        return []
    for name in previous.admins - current.admins - committed.admins:
        user = orm.User.find(db, name)
        if user is not None:
            _demote(db, user)
    removed = []
    for name in sorted(previous.recorded - current.recorded - committed.recorded):
        user = orm.User.find(db, name)
        # A record that is older than the failed hub was made in another way, and stays.
        if user is None or not _is_newer(user, previous):
            continue
        account = find_account_name(host, name)
        if account is not None:
            end_servers(host, account)
        db.delete(user)
        store_hash(paths.passwords, name, None)
        removed.append(name)
    db.commit()
    return removed


def _is_newer(user: orm.User, lists: EffectiveLists) -> bool:
    created = user.created
    return created is None or created.replace(tzinfo=timezone.utc) >= lists.loaded


def _demote(db: Any, user: orm.User) -> None:
    user.admin = False
    admin = orm.Role.find(db, "admin")
    if admin in user.roles:
        user.roles.remove(admin)


def write_lists(host: Host, path: Path, lists: EffectiveLists) -> None:
    """Write the lists that this hub loaded to a file, which commands and the next hub read.

    A hub that crashes is started again with the same lists. Their time is that of the first start,
    which made the records.
    """
    previous = read_effective(host.read(path))
    if previous is not None and replace(previous, loaded=lists.loaded) == lists:
        lists = previous
    host.write(path, lists.as_bytes(), mode=0o600)
