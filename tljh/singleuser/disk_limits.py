"""Disk limits of users as a resource, and a finding for a file system that cannot enforce them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import Finding
from tljh.base.progress import Progress
from tljh.base.sizes import format_size
from tljh.engine.resource import Difference, Placeholder, Record, Resource, Stage
from tljh.host.accounts import find_managed_accounts, get_login
from tljh.host.interface import Host, HostReader
from tljh.host.quota import FileSystem, find_file_system
from tljh.singleuser.limits import LimitPolicy

if TYPE_CHECKING:
    from tljh.settings.root import Config

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class AccountQuota:
    """The disk limit of one account, on the file system of its home."""

    home: str
    uid: int
    limit_bytes: int | None


def has_disk_limits(limits: LimitPolicy) -> bool:
    """Return whether any user's disk space is limited."""
    settings = limits.settings
    own_limits = (*settings.groups.values(), *settings.users.values())
    return settings.disk is not None or any(limits.disk is not None for limits in own_limits)


@dataclass(frozen=True)
class DiskLimits(Placeholder):
    """Every account has its user's disk limit, where the file system has quotas.

    Quotas that an admin set without tljh stay: without any limit in the settings, nothing changes,
    unless the previous settings had one. `applied` is the file with the previous settings.
    """

    limits: LimitPolicy
    applied: Path

    kind: ClassVar[str] = "disk-limits"
    stage: ClassVar[Stage] = Stage.RUNNING

    @property
    def name(self) -> str:
        return "of users"

    @property
    def key(self) -> str:
        return f"disk {self.name}"

    def planned(self, host: HostReader, changed: object) -> tuple[Resource, Difference] | None:
        if not has_disk_limits(self.limits) and not _had_disk_limits(host.read(self.applied)):
            return None
        new: dict[str, AccountQuota] = {}
        old: dict[str, AccountQuota] = {}
        for user in find_managed_accounts(host):
            current = host.disk_quota(Path(user.home), user.uid)
            limit = self.limits.of(get_login(user)).disk_bytes
            if current is not None and current.limit_bytes != limit:
                new[user.name] = AccountQuota(user.home, user.uid, limit)
                old[user.name] = AccountQuota(user.home, user.uid, current.limit_bytes)
        if not new:
            return None
        lines = tuple(
            f"{name}: {_format_limit(old[name].limit_bytes)} -> {_format_limit(quota.limit_bytes)}"
            for name, quota in list(new.items())[:20]
        )
        return DiskLimitsChange(new, old), Difference("~", f"{len(new)} accounts", lines)


def _had_disk_limits(applied: bytes | None) -> bool:
    settings = json.loads(applied or b"{}").get("limits", {})
    own_limits = [*settings.get("groups", {}).values(), *settings.get("users", {}).values()]
    return any(limits.get("disk") for limits in (settings, *own_limits))


def _format_limit(size_bytes: int | None) -> str:
    return "none" if size_bytes is None else format_size(size_bytes)


@dataclass(frozen=True)
class DiskLimitsChange(Resource):
    """New and old disk limits by account, for those accounts where they differ."""

    new: Mapping[str, AccountQuota]
    old: Mapping[str, AccountQuota] = field(repr=False)

    kind: ClassVar[str] = "disk"

    @property
    def name(self) -> str:
        return "of users"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"{len(self.new)} accounts")

    def before(self, host: HostReader) -> Record:
        return {"was": [[quota.home, quota.uid, quota.limit_bytes] for quota in self.old.values()]}

    def apply(self, host: Host, progress: Progress) -> None:
        for quota in self.new.values():
            host.set_disk_quota(Path(quota.home), quota.uid, quota.limit_bytes)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for home, uid, limit_bytes in record["was"]:
            host.set_disk_quota(Path(home), uid, limit_bytes)


def check_quotas(host: HostReader, config: Config, limits: LimitPolicy) -> Iterator[Finding]:
    """Report if the file system of the homes does not enforce the configured disk limits."""
    homes = Path(config.users.home_root)
    if not has_disk_limits(limits) or host.disk_quota(homes, 0) is not None:
        return
    mounted = find_file_system(homes, (host.read(MOUNTS) or b"").decode(errors="replace"))
    place = f"{mounted.kind} on {mounted.device}, mounted at {mounted.mount}" if mounted else "?"
    yield Finding(
        f"limits.disk has no effect: the file system of {homes} has no quotas",
        why=place,
        fix=_explain_quotas(mounted),
    )


def _explain_quotas(mounted: FileSystem | None) -> str:
    if mounted and mounted.kind == "ext4":
        # A kernel without quota_v2 cannot mount a file system with quotas. An Ubuntu VM whose root
        # file system had got them did not boot. So the module comes first.
        return (
            "first check that sudo modprobe quota_v2 succeeds (Ubuntu's kernels for VMs need "
            "linux-modules-extra-$(uname -r) for it): without it, a file system with quotas cannot "
            "be mounted. Then unmount it, run: tune2fs -O quota -Q usrquota "
            f"{quote(mounted.device)} and mount it with usrquota. Until then, "
            "tljh user show NAME prints the size of a home"
        )
    if mounted and mounted.kind == "xfs":
        return "mount it with uquota (the root file system: rootflags=uquota for the kernel)"
    return "move the homes to ext4 or XFS with user quotas: sudo tljh homes move DIRECTORY"
