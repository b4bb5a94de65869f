"""The lists of accounts that may not use cron and at, whose jobs run outside every limit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.account_names import PREFIX
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource
from tljh.host.accounts import LOCK_TIMEOUT_S
from tljh.host.interface import Host, HostReader


def read_denials(host: HostReader, path: Path) -> list[str]:
    """Return the lines of a deny list: an account each."""
    return (host.read(path) or b"").decode(errors="replace").splitlines()


def change_denials(
    host: Host, path: Path, *, added: Iterable[str] = (), removed: Iterable[str] = ()
) -> None:
    """Change which accounts a deny list names; other lines, owner and mode stay."""
    # The hub adds each new account while a command may change the list.
    with host.lock(Paths.accounts_lock, timeout_s=LOCK_TIMEOUT_S):
        lines, gone = read_denials(host, path), set(removed)
        kept = [line for line in lines if line.strip() not in gone]
        names = [*kept, *sorted(set(added) - {line.strip() for line in kept})]
        if names == lines:
            return
        info = host.info(path)
        owner, group, mode = ("root", "root", 0o644) if info is None else (
            info.owner, info.group, info.mode)  # fmt: skip
        text = "".join(f"{name}\n" for name in names)
        host.write(path, text.encode(), mode=mode, owner=owner, group=group)


@dataclass(frozen=True)
class DenyList(Resource):
    """A deny list that names these accounts, and no other account of a hub user."""

    path: Path
    accounts: frozenset[str]

    kind: ClassVar[str] = "deny-list"

    @property
    def name(self) -> str:
        return str(self.path)

    def _changes(self, host: HostReader) -> tuple[frozenset[str], frozenset[str]]:
        """Return the accounts to add and to remove."""
        lines = {line.strip() for line in read_denials(host, self.path)}
        ours = frozenset(line for line in lines if line.startswith(PREFIX))
        return self.accounts - lines, ours - self.accounts

    def difference(self, host: HostReader) -> Difference | None:
        added, removed = self._changes(host)
        if not added and not removed:
            return None
        lines = (*(f"+{name}" for name in sorted(added)), *(f"-{name}" for name in sorted(removed)))
        return Difference("~", f"{len(lines)} accounts", lines[:20])

    def before(self, host: HostReader) -> Record:
        added, removed = self._changes(host)
        return {"path": str(self.path), "added": sorted(added), "removed": sorted(removed)}

    def apply(self, host: Host, progress: Progress) -> None:
        added, removed = self._changes(host)
        change_denials(host, self.path, added=added, removed=removed)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        change_denials(host, path, added=record["removed"], removed=record["added"])
