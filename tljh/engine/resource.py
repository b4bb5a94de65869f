"""Resources: the things a machine can have. Each kind knows its difference, effect and rollback.

A resource is a frozen value. `difference` compares it with a machine that it can only read;
`before` records, as JSON, what a rollback needs; `apply` has the effect and may run again after
a SIGKILL half-way; `revert` works from the record alone, because after a crash the configuration
that led to the resource may be gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence, Set
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, ClassVar

from tljh.base.errors import Finding, TljhError
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader

Record = dict[str, Any]


class RollbackMethod(Enum):
    """How a change is rolled back."""

    RESTORE = "restore"
    SWAP = "swap"
    SNAPSHOT = "snapshot"
    ONE_WAY = "one-way"


class Stage(IntEnum):
    """When a resource is applied; within a stage the order of the parts counts.

    All files are written before any service restarts, so that a failing write disturbs no user.
    """

    PREPARE = 0
    """Packages, accounts and directories: what every other resource may rely on."""
    ENVIRONMENTS = 1
    FILES = 2
    SERVICES = 3
    """Units, and what must happen right before one starts."""
    RUNNING = 4
    """What needs a running hub, and units that start other units (timers, paths)."""
    LAST = 5


@dataclass(frozen=True)
class Difference:
    """What applying a resource would change.

    `sign` is `+` (new), `~` (changed), `-` (removed) or `!` (cannot be rolled back).
    """

    sign: str
    summary: str
    diff: tuple[str, ...] = ()


class Resource(ABC):
    """One thing that a machine is asked to have."""

    kind: ClassVar[str]
    rollback: ClassVar[RollbackMethod] = RollbackMethod.RESTORE
    stage: ClassVar[Stage] = Stage.FILES
    _kinds: ClassVar[dict[str, type[Resource]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            Resource._kinds[cls.kind] = cls

    @classmethod
    def of_kind(cls, kind: str) -> type[Resource]:
        """Return the class that declares `kind`. Raises TljhError for an unknown one.

        The caller has imported the modules that declare kinds (`tljh.operations.parts` does).
        """
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
        """Name in a plan; unique within its kind."""

    @property
    def key(self) -> str:
        return f"{self.kind} {self.name}"

    @property
    def triggers(self) -> Sequence[Resource]:
        """Resources whose change has an effect on this one; `plan` refuses one it does not plan."""
        return ()

    @abstractmethod
    def difference(self, host: HostReader) -> Difference | None: ...

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """Return the resource that a plan holds for this one, and its difference; None if none.

        `changed` holds the keys of the resources that change before it in the plan.
        """
        difference = self.difference(host)
        return (self, difference) if difference else None

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        """Try the change on a copy, before anything on the machine changes; return warnings.

        `changed` holds the keys of all planned changes. Raises TljhError for a change that would
        fail.
        """
        return ()

    def started(self, host: Host) -> Resource:
        """Start slow work in a private place; return the resource that has it, or itself.

        The work belongs to this process: after a SIGKILL it leaves only what the next run of the
        same kind removes. `stop` ends it when the resource is not applied.
        """
        return self

    def stop(self, host: Host) -> None:
        """End what `started` began, unless it was applied, and remove what it left."""
        return

    @abstractmethod
    def before(self, host: HostReader) -> Record: ...

    @abstractmethod
    def apply(self, host: Host, progress: Progress) -> None: ...

    @classmethod
    @abstractmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        """Roll back the effect, from the record that `before` made.

        Returns a note for the admin if something was left unchanged.
        """

    @classmethod
    def difference_of_removal(cls, host: HostReader, record: Record) -> Difference | None:
        """Return what an uninstall changes by reverting the first `record` of this resource.

        By default nothing: what is in the prefix, and what a hub does, goes with them.
        """
        return None

    @classmethod
    def settle(cls, host: Host, record: Record) -> str | None:
        """Finish a rollback once every change is reverted; restart a unit, for example.

        Returns a note about what stays, as `revert` does.
        """
        return None

    def healthy(self, host: HostReader, deadline_s: float) -> None:
        """Return once the applied change works; raise TljhError when it does not in time."""
        return


class Placeholder(Resource):
    """A resource that no plan holds: planning replaces it by the change that it comes to."""

    def difference(self, host: HostReader) -> Difference | None:
        planned = self.planned(host, frozenset())
        return planned[1] if planned else None

    @abstractmethod
    def planned(
        self, host: HostReader, changed: Set[str]
    ) -> tuple[Resource, Difference] | None: ...

    def before(self, host: HostReader) -> Record:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not its placeholder")

    def apply(self, host: Host, progress: Progress) -> None:
        raise NotImplementedError(f"a plan holds the change of {self.key}, not its placeholder")

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        raise NotImplementedError(f"a journal holds changes, not placeholders: {cls.kind}")


class Guard(Placeholder):
    """A resource that changes nothing: it rehearses what others change, and checks the result."""

    stage: ClassVar[Stage] = Stage.SERVICES

    def planned(self, host: HostReader, changed: Set[str]) -> None:
        return None
