"""Snapshots of the user environment as resources of the engine: one is made, one is restored."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.environment import UserEnvironment, read_environment
from tljh.conda.resource import find_next_number
from tljh.conda.snapshot_requests import (
    Cause,
    SnapshotLimits,
    lock_environment,
    record,
    remove_after,
    restore,
)
from tljh.conda.snapshots import read_snapshots
from tljh.engine.apply import get_caller_name
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader

# The unit that makes the first snapshot. That copies the whole environment, which takes longer
# than all the rest of some installations, and nobody waits for it.
FIRST_SNAPSHOT_UNIT = "tljh-first-snapshot"

START_TIMEOUT_S = 30


@dataclass(frozen=True)
class EnvironmentRecorded(Resource):
    """A snapshot of the user environment after the changes of this plan.

    `sources` are the resources that change the environment.
    """

    paths: Paths
    sources: tuple[Resource, ...]
    command: str
    limits: SnapshotLimits
    is_first: bool = False
    is_good: bool | None = None
    # Whether the first snapshot may be made later. That of a named environment is made at once.
    in_background: bool = True

    kind: ClassVar[str] = "snapshot"
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("+", "for `tljh env rollback`")

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """Plan a snapshot where the environment changes, and where there was never any."""
        is_changed = any(source.key in changed for source in self.sources)
        is_first = host.info(self.paths.snapshot_store) is None
        if not is_changed and (not is_first or host.info(self.paths.user) is None):
            return None
        is_later = is_first and self.in_background
        text = "the first, made in the background" if is_later else "for `tljh env rollback`"
        return replace(self, sources=(), is_first=is_first), Difference("+", text)

    def before(self, host: HostReader) -> Record:
        snapshots = read_snapshots(host, self.paths.versions)
        return {
            "versions": str(self.paths.versions),
            "last": snapshots[-1].number if snapshots else 0,
            "is_first": self.is_first,
            "in_background": self.in_background,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        if self.is_first:
            host.mkdir(self.paths.snapshot_store, mode=0o700)
        if self.is_first and self.in_background:
            self._start(host)
            return
        with lock_environment(host, self.paths):
            cause = Cause(get_caller_name(), self.command, self.is_good)
            record(host, self.paths, cause, self.limits)

    def _start(self, host: Host) -> None:
        """Make the first snapshot in the background; where that cannot start, the next change does.

        The unit survives this command and yields to the hub and its users.
        """
        command = ["systemd-run", "--quiet", "--collect", "--unit", FIRST_SNAPSHOT_UNIT]
        command += ["--property=Nice=15", "--property=IOSchedulingClass=idle"]
        command += [f"--setenv=SUDO_USER={get_caller_name()}"]
        command += [f"--setenv=TLJH_INSTALL_PREFIX={self.paths.prefix}"]
        command += [str(self.paths.hub / "bin" / "tljh"), "env", "record", "install"]
        host.run(command, timeout_s=START_TIMEOUT_S)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        versions = Path(record["versions"])
        if record["is_first"] and record.get("in_background", True):
            host.systemctl("stop", f"{FIRST_SNAPSHOT_UNIT}.service")
        if host.info(versions) is not None:
            remove_after(host, versions, record["last"])
        if record["is_first"]:
            host.remove(versions / ".snapshots")


@dataclass(frozen=True)
class EnvironmentRestored(Resource):
    """The user environment of a snapshot, in the place of the one in use."""

    paths: Paths
    snapshot: int

    kind: ClassVar[str] = "restored-environment"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"as in snapshot {self.snapshot}")

    def before(self, host: HostReader) -> Record:
        return {
            "prefix": str(self.paths.user),
            "other": str(self._other(host)),
            "existed": host.info(self.paths.user) is not None,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        with lock_environment(host, self.paths):
            restore(host, self.paths, self.snapshot, self._other(host), progress)

    def _other(self, host: HostReader) -> Path:
        environment = read_environment(host, self.paths.user) or UserEnvironment()
        return self.paths.replaced_user(find_next_number(host, self.paths, environment))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)
