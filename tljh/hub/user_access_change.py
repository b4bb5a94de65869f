"""One change of users' access: accounts, groups, servers and sessions, and its rollback."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.accounts import (
    ADMINS_GROUP,
    end_processes,
    end_servers,
    find_account_name,
    find_managed_accounts,
    is_expired,
    is_managed,
)
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.users.declared_access import (
    AccessChanges,
    DeclaredAccess,
    compare_access,
    compute_ledger,
    describe_changes,
    read_declared,
    summarize_changes,
)
from tljh.users.effective_lists import read_effective

# How long to wait for the API of a hub that has just reported READY to systemd.
HUB_TIMEOUT_S = 15.0


@dataclass(frozen=True)
class UserAccessChange(Resource):
    """The changes of one plan, computed when the plan was made and again when it is applied.

    `in_hub` are the users to be shut out who have a record in the hub's database: a rollback adds
    them again. Tokens and sessions are lost: these users have to log in again.
    """

    changes: AccessChanges
    ledger_bytes: bytes = field(repr=False)
    ledger: Path
    url: str
    token_file: Path
    in_hub: frozenset[str]
    has_own_accounts: bool
    declared: DeclaredAccess
    hub_lists: Path
    removing: frozenset[str] = frozenset()

    kind: ClassVar[str] = "users"

    @property
    def name(self) -> str:
        return "of the hub"

    def computed(self, host: HostReader, declared: DeclaredAccess) -> UserAccessChange:
        """Return the change from what was last applied (the ledger) to `declared`."""
        before = read_declared(host.read(self.ledger))
        token = read_token(host, self.token_file)
        users = HubApi(host, self.url, token).users() if token else None
        changes = compare_access(before, declared, users, self.removing)
        in_hub = frozenset(user.name for user in users or ())
        return replace(
            self,
            changes=changes,
            ledger_bytes=compute_ledger(changes, before, declared).as_bytes(),
            in_hub=in_hub & changes.shut_out,
        )

    def effective(self, host: HostReader) -> UserAccessChange:
        """Return the change to the lists that the hub, now restarted, has loaded."""
        lists = read_effective(host.read(self.hub_lists))
        if lists is None:
            return self
        declared = replace(
            self.declared,
            allowed=lists.allowed,
            admins=lists.admins,
            banned=lists.banned,
            named=lists.named,
        )
        return self.computed(host, declared)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference(
            "~",
            summarize_changes(self.changes),
            describe_changes(self.changes, self.has_own_accounts),
        )

    def _touched(self, host: HostReader) -> dict[str, str]:
        """Return the accounts that may change, by login name."""
        changes = self.changes
        logins = changes.shut_out | changes.demoted | changes.unlocked
        logins |= {login for login, _ in changes.joins | changes.leaves}
        accounts = {}
        for login in logins:
            account = find_account_name(host, login) if self.has_own_accounts else login
            if account:
                accounts[login] = account
        return accounts

    def _accounts_in_common_groups(self, host: HostReader) -> list[str]:
        """Return all users' accounts if a group of all users changes; else an empty list."""
        if not self.changes.joined_by_all and not self.changes.left_by_all:
            return []
        return [user.name for user in find_managed_accounts(host)]

    def before(self, host: HostReader) -> Record:
        old = host.read(self.ledger)
        exact = self.effective(host)
        accounts: dict[str, Any] = {}
        for account in (*exact._touched(host).values(), *exact._accounts_in_common_groups(host)):
            user = host.user(account)
            if user is not None:
                accounts[account] = {
                    "groups": sorted(user.groups),
                    "expired": is_expired(host, account),
                }
        return {
            "ledger": str(self.ledger),
            "old": base64.b64encode(old).decode() if old is not None else None,
            "accounts": accounts,
            "known": sorted(exact.in_hub),
            "url": self.url,
            "token_file": str(self.token_file),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        self.effective(host)._apply(host, progress)

    def _apply(self, host: Host, progress: Progress) -> None:
        accounts = self._touched(host)
        ended = sorted(self.changes.shut_out | self.changes.demoted)
        if ended:
            # First, so that nothing has changed yet if the hub is down.
            self._wait_for_hub(host)
        for login in ended:
            self._close_account(host, login, accounts.get(login), progress)
        # A server that has ended cannot delay or fail the hub's part.
        self._change_in_hub(host, ended, progress)
        for login in ended:
            # Until the hub ended the session, the user could start another server.
            self._end_processes(host, login, self._own(host, accounts.get(login)), progress)
        for login in sorted(self.changes.unlocked):
            own = self._own(host, accounts.get(login))
            if own is not None and is_expired(host, own):
                host.unlock_user(own)
        for login, group in sorted(self.changes.joins):
            self._join(host, accounts.get(login), group)
        for login, group in sorted(self.changes.leaves):
            _leave(host, accounts.get(login), group)
        self._change_common_groups(host)
        # Last: until it is written, the next plan has the same changes again.
        host.write(self.ledger, self.ledger_bytes, mode=0o600)

    def _wait_for_hub(self, host: Host) -> None:
        api = HubApi(host, self.url, read_token(host, self.token_file) or "")
        end_s = host.monotonic_s() + HUB_TIMEOUT_S
        while api.users() is None:
            if host.monotonic_s() > end_s:
                raise TljhError(
                    "the hub does not let tljh end servers and sessions",
                    why=f"{self.url} did not answer a request with the token in {self.token_file}",
                    fix="look for the cause in the hub's log: sudo tljh logs hub",
                )
            host.pause(0.2)

    def _change_in_hub(self, host: Host, logins: Sequence[str], progress: Progress) -> None:
        api = HubApi(host, self.url, read_token(host, self.token_file) or "")
        for number, login in enumerate(logins):
            progress.advance(number, len(logins), login)
            api.act("shut-out" if login in self.changes.shut_out else "demote", login)

    def _own(self, host: Host, account: str | None) -> str | None:
        """Return the account if tljh may change it: it exists and was made for a user."""
        user = host.user(account) if account else None
        if user is None or not self.has_own_accounts or not is_managed(user):
            return None
        return user.name

    def _close_account(
        self, host: Host, login: str, account: str | None, progress: Progress
    ) -> None:
        own = self._own(host, account)
        # Locked before its processes end, so that no new login or timer starts another one.
        if own is not None and login in self.changes.shut_out:
            host.lock_user(own)
        _leave(host, account, ADMINS_GROUP)
        # A process keeps the groups it was started with, and sudo believes those. So everything
        # that runs for a former admin has to end, too.
        self._end_processes(host, login, own, progress)

    def _end_processes(self, host: Host, login: str, own: str | None, progress: Progress) -> None:
        # A server's unit is jupyter-NAME also where the account is an ordinary one called NAME.
        name = find_account_name(host, login)
        # It never raises because of a unit: a rollback would give its user the access back.
        remaining = end_servers(host, name) if name else []
        if remaining:
            progress.note(f"{', '.join(remaining)} has not ended yet; systemd goes on stopping it")
        if own is not None:
            end_processes(host, own)

    def _join(self, host: Host, account: str | None, group: str) -> None:
        if host.group(group) is None:
            host.add_group(group)
        user = host.user(account) if account else None
        # An account that does not exist yet joins the group when the first start makes it.
        if user is not None and group not in user.groups:
            host.add_to_group(user.name, group)

    def _change_common_groups(self, host: Host) -> None:
        after = read_declared(self.ledger_bytes) or DeclaredAccess()
        listed = {
            (find_account_name(host, login), group)
            for group, members in after.groups.items()
            for login in members
        }
        for account in self._accounts_in_common_groups(host):
            for group in sorted(self.changes.left_by_all):
                # A group may stop being common, but still list this user by name.
                if (account, group) not in listed:
                    _leave(host, account, group)
            for group in sorted(self.changes.joined_by_all):
                self._join(host, account, group)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for account, old in record["accounts"].items():
            user = host.user(account)
            if user is None:
                continue
            if is_expired(host, account) and not old["expired"]:
                host.unlock_user(account)
            elif old["expired"] and not is_expired(host, account):
                host.lock_user(account)
            for group in sorted(set(old["groups"]) - user.groups):
                if host.group(group) is not None:
                    host.add_to_group(account, group)
            for group in sorted(user.groups - set(old["groups"])):
                host.remove_from_group(account, group)
        ledger = Path(record["ledger"])
        if record["old"] is None:
            host.remove(ledger)
        else:
            host.write(ledger, base64.b64decode(record["old"]), mode=0o600)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        # The starting hub adds the users in its lists by itself; users who were only in its
        # database are added here. A hub that does not answer is ignored, so that it cannot stop
        # the rollback.
        token = read_token(host, Path(record["token_file"]))
        api = HubApi(host, record["url"], token or "")
        users = api.users() if token and record["known"] else None
        if users is not None:
            api.add(set(record["known"]) - {user.name for user in users})


def _leave(host: Host, account: str | None, group: str) -> None:
    if account and host.user(account) is not None and host.group(group) is not None:
        host.remove_from_group(account, group)
