"""The people of the hub as a resource: what changed in lists takes hold without anybody's login.

It comes after the hub's unit, because the hub itself ends servers and revokes tokens. Accounts,
groups and processes are the machine's part and need no hub.
"""

from __future__ import annotations

import base64
from collections.abc import Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Wish
from tljh.host.accounts import (
    ADMINS_GROUP,
    end_processes,
    is_expired,
    is_managed,
    managed_accounts,
    running_units,
)
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.users.declared_access import (
    Changes,
    Declared,
    account_or_none,
    changes,
    ledger_after,
    read_declared,
)

# The hub has just said that it is ready; a busy machine may still take a moment.
HUB_TIMEOUT_S = 15.0


SHOWN_LET_IN = 20


@dataclass(frozen=True)
class People(Wish):
    """Everybody is what `declared` says; `removing` are shut out whatever the lists said.

    `has_own_accounts` is false where people have ordinary accounts of the machine: those are
    never locked, and nobody's other processes end.
    """

    declared: Declared
    ledger: Path
    url: str
    token_file: Path
    removing: frozenset[str] = frozenset()
    has_own_accounts: bool = True

    kind: ClassVar[str] = "people-declared"

    @property
    def name(self) -> str:
        return "of the hub"

    @property
    def key(self) -> str:
        return f"people {self.name}"

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        before = read_declared(host.read(self.ledger))
        token = read_token(host, self.token_file)
        users = HubApi(host, self.url, token).users() if token else None
        found = changes(before, self.declared, users, self.removing)
        after = ledger_after(found, before, self.declared)
        if before is not None and after == before and found == Changes():
            return None
        known = frozenset(user.name for user in users or ())
        change = PeopleChange(
            found,
            after.as_bytes(),
            self.ledger,
            self.url,
            self.token_file,
            known & found.shut_out,
            self.has_own_accounts,
        )
        lines = _lines(found, self.has_own_accounts)
        return change, Difference("+" if before is None else "~", _summary(found), lines)


def _lines(found: Changes, has_own_accounts: bool) -> tuple[str, ...]:
    """What happens to whom; of a class that is let in, the first ones stand for all."""
    if len(found.let_in) <= SHOWN_LET_IN:
        return found.as_lines(has_own_accounts=has_own_accounts)
    shown = frozenset(sorted(found.let_in)[:SHOWN_LET_IN])
    more = f"and {len(found.let_in) - len(shown)} more may log in"
    lines = replace(found, let_in=shown).as_lines(has_own_accounts=has_own_accounts)
    return (*lines, more)


def _summary(found: Changes) -> str:
    counted = (
        (len(found.let_in), "let in"),
        (len(found.shut_out), "shut out"),
        (len(found.demoted), "no administrator any more"),
        (
            len(found.joins) + len(found.leaves) + len(found.all_join) + len(found.all_leave),
            "group changes",
        ),
    )
    parts = [f"{number} {what}" for number, what in counted if number]
    return ", ".join(parts) or "lists change, nobody is affected"


@dataclass(frozen=True)
class PeopleChange(Resource):
    """What a plan does to people, worked out when it was made.

    `known` are those of the shut out whom the hub has a record of, for an undo to bring back.
    Tokens and sessions cannot come back: whoever was shut out logs in again.
    """

    changes: Changes
    ledger_bytes: bytes = field(repr=False)
    ledger: Path
    url: str
    token_file: Path
    known: frozenset[str]
    has_own_accounts: bool

    kind: ClassVar[str] = "people"

    @property
    def name(self) -> str:
        return "of the hub"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", _summary(self.changes), _lines(self.changes, self.has_own_accounts))

    def _touched(self) -> dict[str, str]:
        """Accounts by login of everybody whose account may change."""
        found = self.changes
        logins = found.shut_out | found.demoted | found.unlocked
        logins |= {login for login, _ in found.joins | found.leaves}
        accounts = {}
        for login in logins:
            account = account_or_none(login) if self.has_own_accounts else login
            if account:
                accounts[login] = account
        return accounts

    def _of_everybody(self, host: HostReader) -> list[str]:
        """All accounts of people, where a group of everybody changes."""
        if not self.changes.all_join and not self.changes.all_leave:
            return []
        return [user.name for user in managed_accounts(host)]

    def before(self, host: HostReader) -> Record:
        old = host.read(self.ledger)
        accounts: dict[str, Any] = {}
        for account in (*self._touched().values(), *self._of_everybody(host)):
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
            "known": sorted(self.known),
            "url": self.url,
            "token_file": str(self.token_file),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        self._tell_hub(host, progress)
        accounts = self._touched()
        for login in sorted(self.changes.shut_out):
            self._shut_out(host, login, accounts.get(login))
        for login in sorted(self.changes.demoted):
            self._demote(host, login, accounts.get(login))
        for login in sorted(self.changes.unlocked):
            own = self._own(host, accounts.get(login))
            if own is not None and is_expired(host, own):
                host.unlock_user(own)
        for login, group in sorted(self.changes.joins):
            self._join(host, accounts.get(login), group)
        for login, group in sorted(self.changes.leaves):
            _leave(host, accounts.get(login), group)
        self._move_everybody(host)
        host.write(self.ledger, self.ledger_bytes, mode=0o600)

    def _tell_hub(self, host: Host, progress: Progress) -> None:
        if not self.changes.shut_out and not self.changes.demoted:
            return
        api = HubApi(host, self.url, read_token(host, self.token_file) or "")
        end_s = host.monotonic_s() + HUB_TIMEOUT_S
        while api.users() is None:
            if host.monotonic_s() > end_s:
                raise TljhError(
                    "the hub does not let tljh end servers and sessions",
                    why=f"{self.url} did not answer a request with the token in {self.token_file}",
                    fix="see what it says: tljh logs hub",
                )
            host.pause(0.2)
        everybody = sorted(self.changes.shut_out | self.changes.demoted)
        for number, login in enumerate(everybody):
            progress.advance(number, len(everybody), login)
            api.act("shut-out" if login in self.changes.shut_out else "demote", login)

    def _own(self, host: Host, account: str | None) -> str | None:
        """The account, if it exists and was made for somebody of this hub."""
        user = host.user(account) if account else None
        if user is None or not self.has_own_accounts or not is_managed(user):
            return None
        return user.name

    def _shut_out(self, host: Host, login: str, account: str | None) -> None:
        own = self._own(host, account)
        if own is not None:
            host.lock_user(own)
        _leave(host, account, ADMINS_GROUP)
        self._end(host, login, own)

    def _demote(self, host: Host, login: str, account: str | None) -> None:
        _leave(host, account, ADMINS_GROUP)
        # sudo goes by the groups that a process was started with, so what runs has to end.
        self._end(host, login, self._own(host, account))

    def _end(self, host: Host, login: str, own: str | None) -> None:
        # Units are named alike, whosever the account is.
        name = account_or_none(login)
        units = running_units(host, name) if name else []
        if units:
            host.systemctl("stop", *units)
        if own is not None:
            end_processes(host, own)

    def _join(self, host: Host, account: str | None, group: str) -> None:
        if host.group(group) is None:
            host.add_group(group)
        user = host.user(account) if account else None
        # Who has no account yet joins when it is made.
        if user is not None and group not in user.groups:
            host.add_to_group(user.name, group)

    def _move_everybody(self, host: Host) -> None:
        after = read_declared(self.ledger_bytes) or Declared()
        kept = {
            (account_or_none(login), group)
            for group, members in after.groups.items()
            for login in members
        }
        for account in self._of_everybody(host):
            for group in sorted(self.changes.all_leave):
                if (account, group) not in kept:
                    _leave(host, account, group)
            for group in sorted(self.changes.all_join):
                self._join(host, account, group)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for account, was in record["accounts"].items():
            user = host.user(account)
            if user is None:
                continue
            if is_expired(host, account) and not was["expired"]:
                host.unlock_user(account)
            elif was["expired"] and not is_expired(host, account):
                host.lock_user(account)
            for group in sorted(set(was["groups"]) - user.groups):
                if host.group(group) is not None:
                    host.add_to_group(account, group)
            for group in sorted(user.groups - set(was["groups"])):
                host.remove_from_group(account, group)
        ledger = Path(record["ledger"])
        if record["old"] is None:
            host.remove(ledger)
        else:
            host.write(ledger, base64.b64decode(record["old"]), mode=0o600)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        # Whoever is in a list is back by the hub's start; the others are added again. A hub that
        # does not answer must not keep the undo from its end.
        token = read_token(host, Path(record["token_file"]))
        api = HubApi(host, record["url"], token or "")
        users = api.users() if token and record["known"] else None
        if users is not None:
            api.add(set(record["known"]) - {user.name for user in users})


def _leave(host: Host, account: str | None, group: str) -> None:
    if account and host.user(account) is not None and host.group(group) is not None:
        host.remove_from_group(account, group)
