"""What a restore brings to a fresh machine, as resources: accounts, trees, and the hub's state.

Nothing that exists is replaced. A rollback removes what was brought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.backup import restic
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, format_count
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.accounts import FIRST_USER_UID, LAST_USER_UID
from tljh.host.interface import Host, HostReader
from tljh.host.owner_map import change_owners
from tljh.users.exported_accounts import ExportedAccount

SCRATCH = ".tljh-restore"


def choose_uids(
    accounts: Sequence[ExportedAccount], taken: Mapping[int, str], reserved: frozenset[int]
) -> dict[str, int]:
    """Return the uid of each account here: its old one, unless another account has that.

    `taken` are names by uid, `reserved` are uids that own homes of others. A new uid is none of the
    old ones, so that owners can be replaced one after the other.
    """
    chosen: dict[str, int] = {}
    names = {name: uid for uid, name in taken.items()}
    used = {*taken, *reserved, *(account.uid for account in accounts)}
    next_uid = max({FIRST_USER_UID - 1, *(uid for uid in used if uid <= LAST_USER_UID)}) + 1
    for account in accounts:
        if account.name in names:
            chosen[account.name] = names[account.name]
        elif account.uid in taken or account.uid < FIRST_USER_UID:
            chosen[account.name] = next_uid
            next_uid += 1
        else:
            chosen[account.name] = account.uid
    return chosen


@dataclass(frozen=True)
class RestoredAccounts(Resource):
    """The accounts of the hub's users, with their groups and password entries."""

    accounts: tuple[ExportedAccount, ...]
    groups: Mapping[str, int]

    kind: ClassVar[str] = "restored-accounts"
    stage: ClassVar[Stage] = Stage.PREPARE

    @property
    def name(self) -> str:
        return "users"

    def _missing(self, host: HostReader) -> list[ExportedAccount]:
        return [account for account in self.accounts if host.user(account.name) is None]

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing(host)
        if not missing:
            return None
        moved = [
            f"{account.name} gets uid {uid}, {account.uid} is another's"
            for account in missing
            if (uid := self._choose(host)[account.name]) != account.uid
        ]
        return Difference("+", format_count(len(missing), "account"), tuple(moved))

    def _choose(self, host: HostReader) -> dict[str, int]:
        taken = {user.uid: user.name for user in host.all_users()}
        return choose_uids(self.accounts, taken, frozenset())

    def before(self, host: HostReader) -> Record:
        return {
            "accounts": [account.name for account in self._missing(host)],
            "groups": [name for name in self.groups if host.group(name) is None],
        }

    def apply(self, host: Host, progress: Progress) -> None:
        for group, gid in sorted(self.groups.items()):
            _add_group(host, group, gid)
        uids = self._choose(host)
        for account in self.accounts:
            if host.user(account.name) is None:
                host.add_user(
                    account.name,
                    home=Path(account.home),
                    shell=account.shell,
                    comment=account.comment,
                    uid=uids[account.name],
                )
            if account.password:
                _set_password(host, account.name, account.password)
            if account.is_locked:
                host.lock_user(account.name)
            for group in account.groups:
                if host.group(group) is None:
                    host.add_group(group)
                host.add_to_group(account.name, group)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for name in record["accounts"]:
            host.remove_user(name)
        for name in record["groups"]:
            if host.group(name) is not None:
                host.remove_group(name)


def _add_group(host: Host, name: str, gid: int) -> None:
    if host.group(name) is not None:
        return
    # The old number where it is free; files are given to the new one otherwise.
    if not host.run(["groupadd", "--gid", str(gid), "--", name], timeout_s=30).ok:
        host.add_group(name)


def _set_password(host: Host, name: str, entry: str) -> None:
    result = host.run(["chpasswd", "--encrypted"], timeout_s=30, stdin=f"{name}:{entry}\n")
    if not result.ok:
        raise TljhError(f"the password of {name} could not be restored", why=result.err.strip())


@dataclass(frozen=True)
class RestoredTrees(Resource):
    """Directories of a backup on one file system, each in its old place unless something is there.

    They are restored next to their places, get the owners that users have here, and are then moved.
    """

    repository: restic.Repository
    snapshot: str
    root: Path
    trees: tuple[Path, ...]
    accounts: tuple[ExportedAccount, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()

    kind: ClassVar[str] = "restored-trees"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS

    @property
    def name(self) -> str:
        return str(self.root)

    def _missing(self, host: HostReader) -> list[Path]:
        return [tree for tree in self.trees if host.info(tree) is None]

    def difference(self, host: HostReader) -> Difference | None:
        missing = self._missing(host)
        if not missing:
            return None
        count = format_count(len(missing), "tree")
        kept = [f"{tree} stays as it is" for tree in self.trees if tree not in missing]
        return Difference("+", f"{count} of backup {self.snapshot}", tuple(kept))

    def before(self, host: HostReader) -> Record:
        return {
            "scratch": str(self.root / SCRATCH),
            "trees": [str(tree) for tree in self._missing(host)],
        }

    def apply(self, host: Host, progress: Progress) -> None:
        scratch, missing = self.root / SCRATCH, self._missing(host)
        for directory in (self.root, scratch):
            if host.info(directory) is None:
                host.mkdir(directory, mode=0o755 if directory == self.root else 0o700)
        with progress.step(f"restore {self.root} from the backup"):
            restic.restore(host, self.repository, self.snapshot, missing, scratch)
        uids, gids = self._compute_owners(host)
        for tree in missing:
            restored = scratch / tree.relative_to("/")
            if host.info(restored) is None:
                continue
            if uids or gids:
                change_owners(restored, uids, gids)
            if host.info(tree.parent) is None:
                host.mkdir(tree.parent, mode=0o755)
            host.rename(restored, tree)
        host.remove(scratch)

    def _compute_owners(self, host: HostReader) -> tuple[dict[int, int], dict[int, int]]:
        """Return uids and gids here by those in the backup, where they differ."""
        uids, gids = {}, {}
        for account in self.accounts:
            user = host.user(account.name)
            if user is not None:
                uids[account.uid], gids[account.gid] = user.uid, user.gid
        for name, gid in self.groups:
            group = host.group(name)
            if group is not None:
                gids[gid] = group.gid
        return (
            {old: new for old, new in uids.items() if old != new},
            {old: new for old, new in gids.items() if old != new},
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for path in (record["scratch"], *record["trees"]):
            host.remove(Path(path))


@dataclass(frozen=True)
class PlacedState(Resource):
    """Configuration and state of a backup, moved from `source` into the prefix.

    `directories` are the places of configuration and state, below `source` and on the machine.
    """

    source: Path
    directories: tuple[Path, ...]
    marker: Path

    kind: ClassVar[str] = "restored-state"
    stage: ClassVar[Stage] = Stage.FILES

    @property
    def name(self) -> str:
        return "configuration and state"

    def difference(self, host: HostReader) -> Difference | None:
        return None if host.info(self.marker) else Difference("+", "of the backup")

    def before(self, host: HostReader) -> Record:
        # All names, also those of other files: what is there now must survive a rollback.
        return {
            "kept": {str(place): host.listdir(place) for place in self.directories},
            "marker": str(self.marker),
        }

    def apply(self, host: Host, progress: Progress) -> None:
        for place in self.directories:
            restored = self.source / place.relative_to("/")
            if host.info(place) is None:
                host.mkdir(place, mode=0o700)
            for name in host.listdir(restored):
                if host.info(place / name) is None:
                    host.rename(restored / name, place / name)
        host.write(self.marker, b"", mode=0o600)
        host.remove(self.source)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for place, kept in record["kept"].items():
            for name in host.listdir(Path(place)):
                # The journal and the repository's password are ours, and not of the backup.
                if name not in (*kept, "journal", "backup"):
                    host.remove(Path(place) / name)
        host.remove(Path(record["marker"]))
