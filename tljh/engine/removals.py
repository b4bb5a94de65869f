"""Steps of a plan that remove for good. None is rolled back: the next run continues."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.progress import Progress, format_count
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod
from tljh.host.accounts import end_processes, is_managed, parse_login
from tljh.host.interface import Host, HostReader, UserInfo

# Hundreds of servers that take the time systemd gives each to end.
STOP_TIMEOUT_S = 300
# A state with copies of a large database, on a slow disk.
ARCHIVE_TIMEOUT_S = 3600


class Removal(Resource):
    """A step of an uninstall."""

    rollback: ClassVar[RollbackMethod] = RollbackMethod.ONE_WAY

    def before(self, host: HostReader) -> Record:
        raise NotImplementedError("an uninstall is not journalled")

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        raise NotImplementedError("an uninstall is not rolled back")


@dataclass(frozen=True)
class RevertedChange(Removal):
    """A resource as it was before tljh, by the first record of its change."""

    changed_kind: str
    changed_name: str
    record: Record = field(hash=False)

    kind: ClassVar[str] = "reverted"

    @property
    def name(self) -> str:
        return self.changed_name

    @property
    def key(self) -> str:
        return f"{self.changed_kind.partition('-')[0]} {self.changed_name}"

    def difference(self, host: HostReader) -> Difference | None:
        return Resource.of_kind(self.changed_kind).difference_of_removal(host, self.record)

    def apply(self, host: Host, progress: Progress) -> None:
        note = Resource.of_kind(self.changed_kind).revert(host, self.record)
        if note:
            progress.note(note)


@dataclass(frozen=True)
class RemovedTree(Removal):
    """A file, or a directory with all that is in it."""

    path: Path

    kind: ClassVar[str] = "tree"

    @property
    def name(self) -> str:
        return str(self.path)

    def difference(self, host: HostReader) -> Difference | None:
        info = host.info(self.path)
        if info is None:
            return None
        whole = " and all in it" if info.kind == "directory" else ""
        return Difference("-", f"{info.kind}{whole}")

    def apply(self, host: Host, progress: Progress) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class StoppedUnits(Removal):
    """Running units, such as users' servers, by the pattern of their names."""

    pattern: str
    what: str = "of users"
    noun: str = "server"

    kind: ClassVar[str] = "units"

    @property
    def name(self) -> str:
        return self.pattern

    def _running(self, host: HostReader) -> list[str]:
        return [unit.name for unit in host.units(self.pattern) if unit.active != "inactive"]

    def difference(self, host: HostReader) -> Difference | None:
        running = self._running(host)
        if not running:
            return None
        return Difference("-", f"{format_count(len(running), self.noun)} {self.what} stop")

    def apply(self, host: Host, progress: Progress) -> None:
        running = self._running(host)
        if running:
            host.systemctl("stop", *running, timeout_s=STOP_TIMEOUT_S)
            host.systemctl("reset-failed", *running)


@dataclass(frozen=True)
class Archive(Removal):
    """A copy of what admins and the hub wrote, readable by root only."""

    archive: Path
    paths: tuple[Path, ...]

    kind: ClassVar[str] = "archive"

    @property
    def name(self) -> str:
        return str(self.archive)

    def _present(self, host: HostReader) -> list[Path]:
        return [path for path in self.paths if host.info(path) is not None]

    def difference(self, host: HostReader) -> Difference | None:
        present = self._present(host)
        if not present:
            return None
        return Difference("+", f"copy of {', '.join(map(str, present))}")

    def apply(self, host: Host, progress: Progress) -> None:
        if host.info(self.archive.parent) is None:
            host.mkdir(self.archive.parent, mode=0o700)
        # tar writes into an existing file without changing its mode, so no other user can read
        # the archive at any time.
        host.write(self.archive, b"", mode=0o600)
        names = [str(path.relative_to("/")) for path in self._present(host)]
        result = host.run(
            ["tar", "--create", "--gzip", "--file", str(self.archive), "--directory", "/",
             "--", *names],
            timeout_s=ARCHIVE_TIMEOUT_S,
        )  # fmt: skip
        if not result.ok:
            host.remove(self.archive)
            raise TljhError(
                f"{self.archive} could not be written",
                why=result.err.strip()[-2000:] or None,
                fix="free disk space, or leave the copy out: sudo tljh uninstall --purge",
            )


@dataclass(frozen=True)
class PurgedAccount(Removal):
    """A hub user's account and home directory, deleted without a copy."""

    account: UserInfo

    kind: ClassVar[str] = "account"

    @property
    def name(self) -> str:
        return self.account.name

    def difference(self, host: HostReader) -> Difference | None:
        if host.user(self.account.name) is None:
            return None
        login = parse_login(self.account)
        of_user = f" of {login}" if login else ""
        return Difference("-", f"account{of_user} and {self.account.home}")

    def apply(self, host: Host, progress: Progress) -> None:
        if not is_managed(self.account):
            return
        end_processes(host, self.account.name)
        home = Path(self.account.home)
        info = host.info(home)
        if info and info.kind == "directory" and info.owner == self.account.name:
            host.remove(home)
        host.remove_user(self.account.name)


@dataclass(frozen=True)
class EmptiedFile(Removal):
    """A file that stays, without its content."""

    path: Path

    kind: ClassVar[str] = "emptied-file"

    @property
    def name(self) -> str:
        return str(self.path)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", "empty") if host.read(self.path) else None

    def apply(self, host: Host, progress: Progress) -> None:
        host.write(self.path, b"", mode=0o444)
