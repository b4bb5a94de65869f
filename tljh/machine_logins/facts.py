"""Facts about logins on the machine: which services are installed, and whom they are closed to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.accounts import find_account_name, find_managed_accounts
from tljh.host.interface import HostReader, UserInfo
from tljh.machine_logins.session_processes import (
    PAM_AUTH_UPDATE,
    find_mount_problem,
    hides_processes,
)
from tljh.users.facts import read as read_users

if TYPE_CHECKING:
    from tljh.settings.root import Config

SSHD = Path("/usr/sbin/sshd")
CRONTAB = Path("/usr/bin/crontab")


@dataclass(frozen=True)
class LoginFacts:
    """Installed services, and the accounts of the hub's users: `users` are no admins."""

    has_sshd: bool = False
    has_pam_profiles: bool = False
    has_bus: bool = False
    has_polkit: bool = False
    has_old_polkit: bool = False
    has_cron: bool = False
    has_at: bool = False
    # Why sessions cannot hide the processes of others, where they have to.
    mount_problem: str | None = None
    users: tuple[UserInfo, ...] = ()
    admins: tuple[str, ...] = ()


def read(host: HostReader, config: Config, paths: Paths) -> LoginFacts:
    """Look for the services, and list the accounts."""
    closed = find_closed_accounts(host, config, paths)
    return LoginFacts(
        has_sshd=host.info(SSHD, follow=True) is not None,
        has_pam_profiles=host.info(PAM_AUTH_UPDATE) is not None,
        has_bus=host.info(paths.bus_policy.parent) is not None,
        has_polkit=host.info(paths.polkit_rules.parent) is not None,
        has_old_polkit=host.info(paths.polkit_authority) is not None,
        has_cron=host.info(CRONTAB) is not None,
        # Without both at.allow and at.deny, at is root's alone. An at.deny would open it.
        has_at=host.info(paths.at_denials) is not None,
        mount_problem=find_mount_problem(host) if hides_processes(config) else None,
        users=closed,
        admins=tuple(user.name for user in find_managed_accounts(host) if user not in closed),
    )


def find_closed_accounts(host: HostReader, config: Config, paths: Paths) -> tuple[UserInfo, ...]:
    """Return the managed accounts of users who are no admins, including removed users.

    There are none where users have accounts of the machine's own: those are the machine's admin's.
    """
    if config.users.accounts != "managed":
        return ()
    applied = json.loads(host.read(paths.applied.hub_file) or b"{}").get("Authenticator", {})
    # The hub has a demoted admin among its admins until the change is applied. Other admins of the
    # hub come from drop-ins and from its admin page.
    elsewhere = read_users(host, config, paths).admins - set(applied.get("admin_users") or ())
    admins = {find_account_name(host, login) for login in {*config.users.admin, *elsewhere}}
    return tuple(user for user in find_managed_accounts(host) if user.name not in admins)
