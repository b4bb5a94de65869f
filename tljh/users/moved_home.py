"""A user's home in another directory, on another disk for example."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import ClassVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.sizes import format_size
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.accounts import end_processes, end_servers
from tljh.host.home_copy import copy_home, end_copy
from tljh.host.interface import Host, HostReader

# Only root can enter it: nobody can change a copy before it counts.
STAGING = ".moving"
# The homes before a move, next to where they were.
KEPT = ".moved"

# A program that is started again by itself may be there for a moment.
SWITCH_ATTEMPTS = 5

MOVE_LOCK_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class MovedHome(Resource):
    """The home of `account` in the directory `target`; its server and sessions end for that.

    The old directory is kept below `.moved`, and a link leads from its place to the new one, for
    paths in users' files. The account's entry decides: before it names the new home, a rollback
    deletes the copy. From then on a rollback finishes the move, because the user may have changed
    files in the new home already.
    """

    account: str
    old: Path
    target: Path
    size_bytes: int = 0

    kind: ClassVar[str] = "moved-home"
    stage: ClassVar[Stage] = Stage.RUNNING
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return self.account

    def difference(self, host: HostReader) -> Difference | None:
        user = host.user(self.account)
        if user is None or user.home == str(self.target / self.account):
            return None
        size = format_size(self.size_bytes)
        return Difference("~", f"{self.old} -> {self.target / self.account} ({size})")

    def before(self, host: HostReader) -> Record:
        return {
            "account": self.account,
            "old": str(self.old),
            "new": str(self.target / self.account),
            "staged": str(self.target / STAGING / self.account),
            # Of an earlier move away from there.
            "link": host.readlink(self.target / self.account),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        record = self.before(host)
        new, staged = Path(record["new"]), Path(record["staged"])
        with _hold_back_servers(host, self.account):
            end_servers(host, self.account)
            end_processes(host, self.account)
            end_copy(host)
            host.remove(staged)
            if host.info(staged.parent) is None:
                host.mkdir(staged.parent, mode=0o700)
            host.mkdir(staged, mode=0o700)
            copy_home(host, self.old, staged)
            if record["link"] is not None:
                host.remove(new)
            host.rename(staged, new)
            self._require_access(host, new)
            self._switch(host, new)
            _finish(host, record)

    def _require_access(self, host: Host, new: Path) -> None:
        tests = ["test", "-w", str(new), "-a", "-x", str(new)]
        result = host.query(["runuser", "-u", self.account, "--", *tests])
        if not result.ok:
            raise TljhError(
                f"{self.account} cannot use {new}",
                why=result.err.strip() or "the user may not write there",
                fix="look at how the disk is mounted, and at the directories on the way",
            )

    def _switch(self, host: Host, new: Path) -> None:
        for attempt in range(1, SWITCH_ATTEMPTS + 1):
            try:
                host.set_home(self.account, new)
                return
            except TljhError as error:
                if attempt == SWITCH_ATTEMPTS:
                    raise TljhError(
                        f"the account {self.account} could not be changed",
                        why=error.findings[0].why,
                        fix="end what runs for it: sudo loginctl terminate-user "
                        + quote(self.account),
                    ) from error
                end_processes(host, self.account)
                host.pause(1.0)

    @classmethod
    def revert(cls, host: Host, record: Record) -> str | None:
        user = host.user(record["account"])
        if user is not None and user.home == record["new"]:
            _finish(host, record)
            return f"the home of {record['account']} is in {record['new']}: the move was complete"
        end_copy(host)
        host.remove(Path(record["staged"]))
        # It was free when the move began, and no account has it yet.
        host.remove(Path(record["new"]))
        if record["link"] is not None:
            host.symlink(Path(record["new"]), record["link"])
        return None


@contextlib.contextmanager
def _hold_back_servers(host: Host, account: str) -> Iterator[None]:
    """Let a start of the user's server wait for the end of the block."""
    lock = Paths.moving_homes / account
    if host.info(lock.parent) is None:
        host.mkdir(lock.parent, mode=0o700)
    with host.lock(lock, timeout_s=MOVE_LOCK_TIMEOUT_S):
        yield
    host.remove(lock)


def _finish(host: Host, record: Record) -> None:
    """Keep the old directory aside, and put a link in its place; a second call does nothing."""
    old, info = Path(record["old"]), host.info(Path(record["old"]))
    if info is not None and info.kind == "directory":
        directory = old.parent / KEPT
        if host.info(directory) is None:
            host.mkdir(directory, mode=0o700)
        host.rename(old, _find_free(host, directory / old.name))
        info = None
    if info is None:
        host.symlink(old, record["new"])
    # The link of the first move leads to the present home without those between.
    first = Paths.homes / old.name
    if host.readlink(first) == record["old"] and str(first) != record["new"]:
        host.symlink(first, record["new"])


def _find_free(host: HostReader, path: Path) -> Path:
    number = 1
    free = path
    while host.info(free) is not None:
        number += 1
        free = path.with_name(f"{path.name}.{number}")
    return free
