"""Groups, and the accounts that services run as, as resources."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.interface import Host, HostReader


@dataclass(frozen=True)
class Group(Resource):
    """A group; with `members`, exactly these accounts are in it."""

    group: str
    system: bool = False
    members: frozenset[str] | None = None

    kind: ClassVar[str] = "group"
    stage: ClassVar[Stage] = Stage.PREPARE

    @property
    def name(self) -> str:
        return self.group

    def difference(self, host: HostReader) -> Difference | None:
        current = host.group(self.group)
        if current is None:
            return Difference("+", ", ".join(sorted(self.members or ())))
        if self.members is None or set(current.members) == self.members:
            return None
        joins = [f"+{name}" for name in sorted(self.members - set(current.members))]
        leaves = [f"-{name}" for name in sorted(set(current.members) - self.members)]
        return Difference("~", " ".join(joins + leaves))

    def before(self, host: HostReader) -> Record:
        current = host.group(self.group)
        return {"group": self.group, "members": list(current.members) if current else None}

    def apply(self, host: Host, progress: Progress) -> None:
        if host.group(self.group) is None:
            host.add_group(self.group, system=self.system)
        if self.members is not None:
            _set_members(host, self.group, self.members)

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        is_ours = record["members"] is None and host.group(record["group"])
        return Difference("-", "group") if is_ours else None

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if record["members"] is None:
            host.remove_group(record["group"])
        elif host.group(record["group"]):
            _set_members(host, record["group"], frozenset(record["members"]))


def _set_members(host: Host, group: str, members: frozenset[str]) -> None:
    entry = host.group(group)
    current = set(entry.members) if entry else set()
    for name in sorted(members - current):
        host.add_to_group(name, group)
    for name in sorted(current - members):
        host.remove_from_group(name, group)


@dataclass(frozen=True)
class SystemUser(Resource):
    """An account that a service runs as: no login, no home directory, a group with its name."""

    user: str
    home: Path

    kind: ClassVar[str] = "user"
    stage: ClassVar[Stage] = Stage.PREPARE

    @property
    def name(self) -> str:
        return self.user

    def difference(self, host: HostReader) -> Difference | None:
        return None if host.user(self.user) else Difference("+", "system account")

    def before(self, host: HostReader) -> Record:
        return {"user": self.user, "existed": host.user(self.user) is not None}

    def apply(self, host: Host, progress: Progress) -> None:
        host.add_user(
            self.user,
            home=self.home,
            system=True,
            shell="/usr/sbin/nologin",
        )

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        is_ours = not record["existed"] and host.user(record["user"])
        return Difference("-", "system account") if is_ours else None

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        if not record["existed"]:
            host.remove_user(record["user"])
