"""New limits for running servers: systemd changes them in place, no server restarts.

A server that uses more memory than the new limit allows keeps its old limit until it starts
again, because the kernel would end its processes at once and a reload must not end a notebook.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.account_names import make_account_name
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, format_count
from tljh.engine.resource import Difference, Placeholder, Record, Resource, Stage
from tljh.host.accounts import parse_login
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.singleuser.limit_properties import MEMORY_MAX, describe_changes
from tljh.singleuser.limits import LimitPolicy
from tljh.singleuser.running_servers import find_running_servers


@dataclass(frozen=True)
class RunningLimits(Placeholder):
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
        servers = find_running_servers(host)
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
                texts = describe_changes(before[server.unit], changed_limits)
                lines.append(f"{server.unit}: {texts}")
        if not changes:
            return None
        summary = (
            f"new limits for {format_count(len(changes), 'running server')}, without a restart"
        )
        if any(MEMORY_MAX.name in properties for properties in changes.values()):
            lines.append("JupyterLab's status bar shows the old limit until a server starts again")
        change = RunningLimitsChange(changes, before)
        return change, Difference("~", summary, tuple(lines))

    def _groups_in_hub(self, host: HostReader) -> dict[str, tuple[str, ...]]:
        """Return the groups that users have in the hub, which an authenticator may have set.

        The hub is asked only if a limit is set for a group.
        """
        token = read_token(host, self.token_file) if self.limits.settings.groups else None
        users = HubApi(host, self.url, token).users() if token else None
        return {user.name: user.groups for user in users or ()}

    def _login(self, host: HostReader, account: str) -> str:
        user = host.user(account)
        login = parse_login(user) if user else None
        if login is not None:
            return login
        # Accounts made by The Littlest JupyterHub have no mark with the login name. So the login
        # is searched among the names that have limits; for any other name it does not matter.
        members = (name for names in self.limits.members.values() for name in names)
        for name in (*self.limits.settings.users, *members):
            if account in (name, make_account_name(name)):
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
            problem = _set(host, unit, properties)
            if problem:
                # No server may keep the limits of all others, or a whole reload, from its change.
                progress.note(f"{unit} keeps its limits for now: {problem}")

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for unit, properties in record["was"].items():
            _set(host, unit, properties)


def _set(host: Host, unit: str, properties: Mapping[str, str]) -> str | None:
    """Set properties of a running unit; return the reason if that failed.

    The server may have stopped since the plan was made, which is not an error.
    """
    arguments = [f"{name}={value}" for name, value in properties.items()]
    command = ["systemctl", "set-property", "--runtime", unit, *arguments]
    try:
        result = host.run(command, timeout_s=30)
    except TljhError as error:
        return error.findings[0].what
    return None if result.ok or not host.unit(unit).is_active else result.err.strip()
