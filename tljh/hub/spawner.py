"""Users' servers as units of systemd, each under its own Linux account."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from systemdspawner import SystemdSpawner
from tornado import web
from traitlets import Dict, Enum, List, Unicode

from tljh.errors import TljhError
from tljh.host.accounts import Account, ensure_account
from tljh.host.real import RealHost
from tljh.hub.names import account_name, unit_name


class UserCreatingSpawner(SystemdSpawner):
    """A SystemdSpawner that makes the user's account first, off the hub's event loop."""

    user_groups = Dict(
        value_trait=List(Unicode()),
        key_trait=Unicode(),
        help="Linux groups to login names: who gets which extra groups.",
        config=True,
    )

    default_groups = List(Unicode(), help="Linux groups that everybody joins.", config=True)
    accounts = Enum(
        ("managed", "existing"),
        "managed",
        help="Whether accounts are made, or the machine's own are used.",
        config=True,
    )
    home_root = Unicode("/home", help="Where homes of new accounts are made.", config=True)
    skeleton = Unicode(
        None, allow_none=True, help="What a new home begins with, if not /etc/skel.", config=True
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each named server has a unit of its own; the template of the base class knows only the
        # user, so a second server would replace the first.
        self.unit_name = unit_name(account_name(self.user.name), self.name)
        if self.accounts == "existing":
            self.username_template = "{LOGIN}"

    def _expand_user_vars(self, string: str) -> str:
        try:
            account = account_name(self.user.name)
        except ValueError:
            account = ""
        return (
            string.replace("{USERNAME}", account)
            .replace("{LOGIN}", self.user.name)
            .replace("{USERID}", str(self.user.id))
        )

    def _account(self) -> Account:
        login = self.user.name
        groups = {group for group, members in self.user_groups.items() if login in members}
        is_own = self.accounts == "managed"
        return Account(
            name=account_name(login) if is_own else login,
            login=login,
            is_admin=self.user.admin,
            extra_groups=tuple(sorted(groups | set(self.default_groups))),
            home_root=Path(self.home_root),
            skeleton=Path(self.skeleton) if self.skeleton else None,
            is_made=is_own,
        )

    async def start(self) -> tuple[str, int] | None:
        account = self._account()
        try:
            is_new = await asyncio.to_thread(ensure_account, RealHost(), account)
        except TljhError as error:
            self.log.error("no account for %s: %s", account.login, error)
            reason = error.findings[0].what
            raise web.HTTPError(500, f"Your server cannot start: {reason}.") from error
        if is_new:
            await asyncio.to_thread(_tell_plugins, account.name)
        self.disable_user_sudo = not self.user.admin
        address: tuple[str, int] | None = await super().start()
        return address


def _tell_plugins(account: str) -> None:
    from tljh.plugins.manager import call, installed_plugins

    call(installed_plugins(), "tljh_new_user_create", username=account)
