"""What a machine can be asked to have: each kind knows its difference, its effect and its undo.

A resource is a frozen value. `difference` compares it with a machine that it can only read;
`before` records what an undo needs, as JSON; `apply` has the effect and may be run again after
being killed half-way; `revert` works from the record alone, because after a crash the
configuration that led to the resource may be gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Set
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any, ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader

Record = dict[str, Any]


# Where kinds of resources are declared: an undo after a crash may need one that nothing in this
# process has asked for yet.
KINDS_ARE_IN = (
    "tljh.conda.resource",
    "tljh.conda.tools",
    "tljh.hub.database_resource",
    "tljh.hub.user_access",
    "tljh.singleuser.disk_limits",
    "tljh.users.first_passwords",
    "tljh.hub.running_limits",
    "tljh.users.shared_folders",
    "tljh.plugins.post_install",
    "tljh.proxy.certificate_resources",
    "tljh.engine.account_resources",
    "tljh.engine.apt_resource",
    "tljh.engine.file_resources",
    "tljh.engine.sudoers",
    "tljh.systemd.unit_resource",
)


class Undo(Enum):
    """How a change is taken back."""

    RESTORE = "restore"
    SWAP = "swap"
    SNAPSHOT = "snapshot"
    ONE_WAY = "one-way"


@dataclass(frozen=True)
class Difference:
    """What applying a resource would change.

    `sign` is `+` (new), `~` (changed), `-` (removed) or `!` (cannot be undone).
    """

    sign: str
    summary: str
    diff: tuple[str, ...] = ()


class Resource(ABC):
    """One thing the machine shall have."""

    kind: ClassVar[str]
    undo: ClassVar[Undo] = Undo.RESTORE
    _kinds: ClassVar[dict[str, type[Resource]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Resource._kinds[cls.kind] = cls

    @classmethod
    def of_kind(cls, kind: str) -> type[Resource]:
        if kind not in cls._kinds:
            for module in KINDS_ARE_IN:
                import_module(module)
        try:
            return cls._kinds[kind]
        except KeyError:
            raise TljhError(
                f"the journal names a kind of change that is not known here: {kind}",
                why="it was written by another release, or by a plugin that is gone",
                fix="install the release or the plugin that wrote it, then run this again",
            ) from None

    @property
    @abstractmethod
    def name(self) -> str:
        """What it is called in a plan; unique within its kind."""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    @abstractmethod
    def difference(self, host: HostReader) -> Difference | None: ...

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """What a plan holds of this, given the keys of what changes before it."""
        found = self.difference(host)
        return (self, found) if found else None

    def started(self, host: Host) -> Resource:
        """The same with its long work begun, in a place that nothing refers to; itself for none.

        What was begun belongs to this process alone: killed, it leaves only what the next run
        of the same kind removes. `stop` ends it where it does not come to be applied.
        """
        return self

    def stop(self, host: Host) -> None:
        """End what `started` began, unless it was applied, and leave nothing of it."""
        return

    @abstractmethod
    def before(self, host: HostReader) -> Record: ...

    @abstractmethod
    def apply(self, host: Host, progress: Progress) -> None: ...

    @classmethod
    @abstractmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        """Take it back, by what `before` recorded; returns what it left alone, to be told."""

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        """What an undo has left to do once everything is reverted; restarts, for example."""
        return


class Wish(Resource):
    """A resource that no plan holds: planning puts in its place the change that it comes to."""

    def difference(self, host: HostReader) -> Difference | None:
        found = self.planned(host, frozenset())
        return found[1] if found else None

    @abstractmethod
    def planned(
        self, host: HostReader, changed: Set[str]
    ) -> tuple[Resource, Difference] | None: ...

    def before(self, host: HostReader) -> Record:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not the wish for it")

    def apply(self, host: Host, progress: Progress) -> None:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not the wish for it")

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        raise NotImplementedError(f"a journal holds changes, not wishes: {cls.kind}")
