"""Users' access to the hub and the machine, as a resource.

A change of the lists takes effect when it is applied, not at a user's next login. The resource
comes after the hub's unit in a plan, because only the running hub can stop servers and revoke
tokens. Accounts, groups and processes are changed on the machine, without the hub.
"""

from __future__ import annotations

import json
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tljh.engine.resource import Difference, Placeholder, Resource, Stage
from tljh.host.interface import HostReader
from tljh.hub.user_access_change import UserAccessChange
from tljh.users.declared_access import (
    AccessChanges,
    DeclaredAccess,
    describe_changes,
    read_declared,
    summarize_changes,
)
from tljh.users.effective_lists import read_effective
from tljh.users.user_lists import USER_LISTS, Sections


@dataclass(frozen=True)
class UserAccess(Placeholder):
    """Access of all users as `declared`; the users in `removing` are shut out in any case.

    `has_own_accounts` is false where users have ordinary accounts of the machine: those are
    never locked, and processes other than the users' servers are left alone.

    Drop-ins and plugins name users too, and only a hub that has loaded them knows whom. So the
    plan is computed from `declared` and the lists of the running hub; what is applied, after the
    hub's restart, from the lists that the new hub has written. `sources` are what the hub loads.
    """

    declared: DeclaredAccess
    ledger: Path
    hub_lists: Path
    hub_file: Path
    url: str
    token_file: Path
    sources: tuple[Resource, ...] = ()
    removing: frozenset[str] = frozenset()
    has_own_accounts: bool = True

    kind: ClassVar[str] = "users-declared"
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return "of the hub"

    @property
    def key(self) -> str:
        return f"users {self.name}"

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        before = read_declared(host.read(self.ledger))
        declared = self._expected(host)
        change = UserAccessChange(
            AccessChanges(),
            b"",
            self.ledger,
            self.url,
            self.token_file,
            frozenset(),
            self.has_own_accounts,
            declared,
            self.hub_lists,
            self.removing,
        ).computed(host, declared)
        is_reloaded = any(source.key in changed for source in self.sources)
        is_changed = (
            before is None
            or read_declared(change.ledger_bytes) != before
            or change.changes != AccessChanges()
        )
        # A reloaded hub may load other lists although none changes here, by a drop-in for example.
        if not is_changed and not is_reloaded:
            return None
        lines = describe_changes(change.changes, self.has_own_accounts)
        summary = (
            summarize_changes(change.changes)
            if is_changed
            else "follow the lists that the hub loads"
        )
        return change, Difference("+" if before is None else "~", summary, lines)

    @property
    def triggers(self) -> Sequence[Resource]:
        return self.sources

    def _expected(self, host: HostReader) -> DeclaredAccess:
        """Return the lists as the restarted hub is expected to load them.

        They are those of config.yaml, and the names that the running hub has from elsewhere.
        """
        running = read_effective(host.read(self.hub_lists))
        if running is None:
            return self.declared
        applied = json.loads(host.read(self.hub_file) or b"{}")
        allowed, admins, banned = (_collect_names(applied, trait) for trait in USER_LISTS)

        return replace(
            self.declared,
            allowed=self.declared.allowed | (running.allowed - allowed),
            admins=self.declared.admins | (running.admins - admins),
            banned=self.declared.banned | (running.banned - banned),
            named=running.named,
        )


def _collect_names(applied: Sections, trait: str) -> frozenset[str]:
    """Return the names that the applied sections have in one list of users, in any class."""
    lists = (section.get(trait) or () for section in applied.values())
    return frozenset(name.lower() for names in lists for name in names)
