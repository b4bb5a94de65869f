"""New limits for running servers: systemd changes them in place, no server restarts.

A server that uses more memory than the new limit allows keeps its old limit until it starts
again, because the kernel would end its processes at once and a reload must not end a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.account_names import account_name
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, counted
from tljh.engine.resource import Difference, Record, Resource, Stage, Wish
from tljh.host.accounts import login_of
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.singleuser.limit_properties import MEMORY_MAX
from tljh.singleuser.limits import LimitPolicy
from tljh.singleuser.running_servers import running_servers


@dataclass(frozen=True)
class RunningLimits(Wish):
    """Limits of every running server as configured for its user."""

    limits: LimitPolicy
    url: str
    token_file: Path

    kind: ClassVar[str] = "limits-of-running"
    stage: ClassVar[Stage] = Stage.RUNNING

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
            limits = self.limits.of(login, groups.get(login, ())).as_properties()
            changed_limits = {
                name: value for name, value in limits.items() if server.properties[name] != value
            }
            if _is_below(changed_limits.get(MEMORY_MAX.name, ""), server.in_use_bytes):
                del changed_limits[MEMORY_MAX.name]
                lines.append(
                    f"{server.unit} keeps its memory limit until it ends: it uses more than that"
                )
            if changed_limits:
                changes[server.unit] = changed_limits
                before[server.unit] = {name: server.properties[name] for name in changed_limits}
                texts = (
                    f"{name} {before[server.unit][name] or 'none'} -> {value or 'none'}"
                    for name, value in changed_limits.items()
                )
                lines.append(f"{server.unit}: {', '.join(texts)}")
        if not changes:
            return None
        summary = f"new limits for {counted(len(changes), 'running server')}, without a restart"
        change = RunningLimitsChange(changes, before)
        return change, Difference("~", summary, tuple(lines))

    def _groups_in_hub(self, host: HostReader) -> dict[str, tuple[str, ...]]:
        """Return login name -> groups in the hub, which an authenticator may have set.

        The hub is asked only if a limit is set for a group.
        """
        token = read_token(host, self.token_file) if self.limits.settings.groups else None
        users = HubApi(host, self.url, token).users() if token else None
        return {user.name: user.groups for user in users or ()}

    def _login(self, host: HostReader, account: str) -> str:
        user = host.user(account)
        login = login_of(user) if user else None
        if login is not None:
            return login
        # Accounts made by The Littlest JupyterHub have no mark with the login name. So the login
        # is searched among the names that have limits; for any other name it does not matter.
        members = (name for names in self.limits.members.values() for name in names)
        for name in (*self.limits.settings.users, *members):
            if account in (name, account_name(name)):
                return name
        return account


def _is_below(limit: str, in_use_bytes: int) -> bool:
    # "infinity" and no limit at all are not digits.
    return limit.isdigit() and int(limit) < in_use_bytes


@dataclass(frozen=True)
class RunningLimitsChange(Resource):
    """New properties of running servers by unit, and the old ones for a rollback."""

    changes: Mapping[str, Mapping[str, str]]
    old: Mapping[str, Mapping[str, str]] = field(repr=False)

    kind: ClassVar[str] = "limits"

    @property
    def name(self) -> str:
        return "of running servers"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"{len(self.changes)} servers")

    def before(self, host: HostReader) -> Record:
        return {"was": {unit: dict(properties) for unit, properties in self.old.items()}}

    def apply(self, host: Host, progress: Progress) -> None:
        for number, (unit, properties) in enumerate(sorted(self.changes.items())):
            progress.advance(number, len(self.changes), unit)
            _set(host, unit, properties)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for unit, properties in record["was"].items():
            _set(host, unit, properties)


def _set(host: Host, unit: str, properties: Mapping[str, str]) -> None:
    arguments = [f"{name}={value}" for name, value in properties.items()]
    result = host.run(["systemctl", "set-property", "--runtime", unit, *arguments], timeout_s=30)
    # The server may have stopped since the plan was made, which is not an error.
    if not result.ok and host.unit(unit).is_active:
        raise TljhError(f"the limits of {unit} could not be changed", why=result.err.strip())
