"""Disk limits of people as a resource, and what to say where a file system can't hold them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.account_names import PREFIX
from tljh.base.errors import Finding
from tljh.base.progress import Progress
from tljh.engine.resource import Difference, Record, Resource, Stage, Wish
from tljh.host.accounts import login_of, managed_accounts
from tljh.host.interface import Host, HostReader, UserInfo
from tljh.host.quota import FileSystem, file_system_of
from tljh.singleuser.limits import LimitPolicy

if TYPE_CHECKING:
    from tljh.settings.root import Config

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Quota:
    """The limit of one account on the file system of its home."""

    home: str
    uid: int
    limit_bytes: int | None


def has_disk_limits(limits: LimitPolicy) -> bool:
    """Whether anybody's disk space is limited."""
    settings = limits.settings
    own = (*settings.groups.values(), *settings.users.values())
    return settings.disk is not None or any(one.disk is not None for one in own)


@dataclass(frozen=True)
class DiskLimits(Wish):
    """Everybody's account has the disk limit of its person, where the file system counts.

    Without any limit in the settings nothing is touched, but for what these set before: `applied`
    is what was.
    """

    limits: LimitPolicy
    applied: Path

    kind: ClassVar[str] = "disk-limits-of-people"
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return "of people"

    @property
    def key(self) -> str:
        return f"disk {self.name}"

    def planned(self, host: HostReader, changed: object) -> tuple[Resource, Difference] | None:
        if not has_disk_limits(self.limits) and not _had_disk_limits(host.read(self.applied)):
            return None
        wanted: dict[str, Quota] = {}
        was: dict[str, Quota] = {}
        for user in managed_accounts(host):
            now = host.disk_quota(Path(user.home), user.uid)
            limit = self.limits.of(_login(user)).disk_bytes
            if now is not None and now.limit_bytes != limit:
                wanted[user.name] = Quota(user.home, user.uid, limit)
                was[user.name] = Quota(user.home, user.uid, now.limit_bytes)
        if not wanted:
            return None
        lines = tuple(
            f"{name}: {_shown(was[name].limit_bytes)} -> {_shown(quota.limit_bytes)}"
            for name, quota in list(wanted.items())[:20]
        )
        return DiskLimitsChange(wanted, was), Difference("~", f"{len(wanted)} accounts", lines)


def _had_disk_limits(applied: bytes | None) -> bool:
    settings = json.loads(applied or b"{}").get("limits", {})
    own = [*settings.get("groups", {}).values(), *settings.get("users", {}).values()]
    return any(one.get("disk") for one in (settings, *own))


def _login(user: UserInfo) -> str:
    # An account that TLJH made has no mark; its name is the login's where that was short.
    return login_of(user) or user.name.removeprefix(PREFIX)


def _shown(size_bytes: int | None) -> str:
    return "none" if size_bytes is None else f"{size_bytes / (1 << 20):.0f}M"


@dataclass(frozen=True)
class DiskLimitsChange(Resource):
    """What a plan changes about disk limits, by account, and what they were."""

    wanted: Mapping[str, Quota]
    was: Mapping[str, Quota] = field(repr=False)

    kind: ClassVar[str] = "disk"

    @property
    def name(self) -> str:
        return "of people"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"{len(self.wanted)} accounts")

    def before(self, host: HostReader) -> Record:
        return {"was": [[one.home, one.uid, one.limit_bytes] for one in self.was.values()]}

    def apply(self, host: Host, progress: Progress) -> None:
        for one in self.wanted.values():
            host.set_disk_quota(Path(one.home), one.uid, one.limit_bytes)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for home, uid, limit_bytes in record["was"]:
            host.set_disk_quota(Path(home), uid, limit_bytes)


def quota_findings(host: HostReader, config: Config, limits: LimitPolicy) -> Iterator[Finding]:
    """What keeps disk limits from holding."""
    homes = Path(config.users.home_root)
    if not has_disk_limits(limits) or host.disk_quota(homes, 0) is not None:
        return
    mounted = file_system_of(homes, (host.read(MOUNTS) or b"").decode(errors="replace"))
    place = f"{mounted.kind} on {mounted.device}, mounted at {mounted.mount}" if mounted else "?"
    yield Finding(
        f"limits.disk does not hold: the file system of {homes} limits nobody",
        why=place,
        fix=_how_to_count(mounted),
    )


def _how_to_count(mounted: FileSystem | None) -> str:
    if mounted and mounted.kind == "ext4":
        # Seen: an Ubuntu whose root file system got the feature did not boot any more.
        return (
            "first see that sudo modprobe quota_v2 succeeds (Ubuntu's kernels for VMs need "
            "linux-modules-extra-$(uname -r) for it): what has quotas can't be mounted without it. "
            f"Then, while it is not mounted: tune2fs -O quota -Q usrquota {mounted.device}; and "
            "mount it with usrquota. Until then tljh user show NAME tells what somebody has"
        )
    if mounted and mounted.kind == "xfs":
        return "mount it with uquota (the root file system: rootflags=uquota for the kernel)"
    return "put homes on ext4 or XFS with quotas of users, and name the place in users.home_root"
