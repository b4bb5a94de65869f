"""New limits for servers that run already: systemd changes them where they are, nobody restarts.

A server that has more memory in use than it may from now on keeps its old limit until it is
started again: a reload must not end anybody's kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.account_names import account_name
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, counted
from tljh.engine.resource import Difference, Record, Resource, Wish
from tljh.host.accounts import login_of
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.singleuser.limits import LimitsOfEverybody
from tljh.singleuser.running_servers import running_servers


@dataclass(frozen=True)
class RunningLimits(Wish):
    """Every server that runs has the limits of its user."""

    limits: LimitsOfEverybody
    url: str
    token_file: Path

    kind: ClassVar[str] = "limits-of-running"

    @property
    def name(self) -> str:
        return "of running servers"

    @property
    def key(self) -> str:
        return f"limits {self.name}"

    def planned(self, host: HostReader, changed: object) -> tuple[Resource, Difference] | None:
        servers = running_servers(host)
        if not servers:
            return None
        groups = self._groups_in_hub(host)
        changes: dict[str, dict[str, str]] = {}
        before: dict[str, dict[str, str]] = {}
        lines = []
        for server in servers:
            login = self._login(host, server.account)
            wanted = self.limits.of(login, groups.get(login, ())).as_properties()
            different = {
                name: value for name, value in wanted.items() if server.properties[name] != value
            }
            kept = _is_too_small(different.get("MemoryMax", ""), server.in_use_bytes)
            if kept:
                del different["MemoryMax"]
                lines.append(f"{server.unit} keeps its memory, of which it uses more, till it ends")
            if different:
                changes[server.unit] = different
                before[server.unit] = {name: server.properties[name] for name in different}
                shown = (
                    f"{name} {before[server.unit][name] or 'none'} -> {value or 'none'}"
                    for name, value in different.items()
                )
                lines.append(f"{server.unit}: {', '.join(shown)}")
        if not changes:
            return None
        summary = f"{counted(len(changes), 'server')} given new limits while running"
        change = RunningLimitsChange(changes, before)
        return change, Difference("~", summary, tuple(lines))

    def _groups_in_hub(self, host: HostReader) -> dict[str, tuple[str, ...]]:
        """Groups that an authenticator put people in; asked for only where it matters."""
        token = read_token(host, self.token_file) if self.limits.settings.groups else None
        users = HubApi(host, self.url, token).users() if token else None
        return {user.name: user.groups for user in users or ()}

    def _login(self, host: HostReader, account: str) -> str:
        user = host.user(account)
        login = login_of(user) if user else None
        if login is not None:
            return login
        # An account that TLJH made has no mark; one of the machine's own is the login name.
        members = (name for names in self.limits.members.values() for name in names)
        for name in (*self.limits.settings.users, *members):
            if account in (name, account_name(name)):
                return name
        return account


def _is_too_small(wanted: str, in_use_bytes: int) -> bool:
    return wanted.isdigit() and int(wanted) < in_use_bytes


@dataclass(frozen=True)
class RunningLimitsChange(Resource):
    """What a plan changes about servers that run: properties by unit, and what they were."""

    changes: Mapping[str, Mapping[str, str]]
    was: Mapping[str, Mapping[str, str]] = field(repr=False)

    kind: ClassVar[str] = "limits"

    @property
    def name(self) -> str:
        return "of running servers"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"{len(self.changes)} servers")

    def before(self, host: HostReader) -> Record:
        return {"was": {unit: dict(properties) for unit, properties in self.was.items()}}

    def apply(self, host: Host, progress: Progress) -> None:
        for number, (unit, properties) in enumerate(sorted(self.changes.items())):
            progress.advance(number, len(self.changes), unit)
            _set(host, unit, properties)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for unit, properties in record["was"].items():
            _set(host, unit, properties)


def _set(host: Host, unit: str, properties: Mapping[str, str]) -> None:
    given = [f"{name}={value}" for name, value in properties.items()]
    done = host.run(["systemctl", "set-property", "--runtime", unit, *given], timeout_s=30)
    # A server may have been stopped since it was looked at.
    if not done.ok and host.unit(unit).is_active:
        raise TljhError(f"{unit} could not be given its limits", why=done.err.strip())
