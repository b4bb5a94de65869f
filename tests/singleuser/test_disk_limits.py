"""Disk limits of users."""

from __future__ import annotations

from pathlib import Path

from tljh.base.progress import SilentProgress
from tljh.host.accounts import make_mark
from tljh.host.fake import FakeHost
from tljh.host.interface import FileInfo, UserInfo
from tljh.host.quota import DiskQuota
from tljh.settings.load import load
from tljh.singleuser.disk_limits import DiskLimits, DiskLimitsChange, check_quotas
from tljh.singleuser.limits import MachineSize, build_limit_policy, format_policy

SIZE = MachineSize(16 << 30, 4, 32_768)
APPLIED = Path("/opt/limits.json")
MIB = 1 << 20


def machine() -> FakeHost:
    host = FakeHost()
    for number, name in enumerate(("alice", "bob"), start=1001):
        account = f"jupyter-{name}"
        host.accounts[account] = UserInfo(
            account, number, number, f"/home/{account}", "/bin/bash", make_mark(name)
        )
        host.disk_quotas[number] = DiskQuota(5 * MIB)
    return host


def limited(host: FakeHost, text: str) -> dict[str, int | None]:
    planned = resource(text).planned(host, frozenset())
    if planned is None:
        return {}
    assert isinstance(planned[0], DiskLimitsChange)
    return {name: quota.limit_bytes for name, quota in planned[0].new.items()}


def resource(text: str) -> DiskLimits:
    return DiskLimits(build_limit_policy(load(text.encode()), SIZE), APPLIED)


def test_each_account_gets_its_users_limit():
    limits = limited(machine(), "limits: {disk: 100M, users: {bob: {disk: 1G}}}")
    assert limits == {"jupyter-alice": 100 * MIB, "jupyter-bob": 1024 * MIB}


def test_without_any_limit_others_quotas_are_left_alone():
    host = machine()
    host.disk_quotas[1001] = DiskQuota(0, 7 * MIB)
    assert limited(host, "limits: {memory: 1G}") == {}


def test_limits_that_were_removed_from_the_settings_are_reset():
    host = machine()
    host.disk_quotas[1001] = DiskQuota(0, 7 * MIB)
    before = format_policy(load(b"limits: {users: {alice: {disk: 7M}}}"))
    host.files[APPLIED] = (FileInfo("file", 0o600, "root", "root"), before)
    assert limited(host, "") == {"jupyter-alice": None}


def test_a_rollback_sets_the_old_limits():
    host = machine()
    planned = resource("limits: {disk: 100M}").planned(host, frozenset())
    assert planned is not None
    record = planned[0].before(host)
    planned[0].apply(host, SilentProgress())
    assert host.disk_quotas[1001].limit_bytes == 100 * MIB
    assert limited(host, "limits: {disk: 100M}") == {}
    DiskLimitsChange.revert(host, record)
    assert host.disk_quotas[1001].limit_bytes is None


def test_a_file_system_without_quotas_is_reported_and_changes_nothing():
    host = machine()
    host.disk_quotas.clear()
    host.files[Path("/proc/self/mountinfo")] = (
        FileInfo("file", 0o444, "root", "root"),
        b"22 1 253:1 / / rw - ext4 /dev/vda1 rw\n",
    )
    config = load(b"limits: {disk: 100M}")
    assert limited(host, "limits: {disk: 100M}") == {}
    (finding,) = check_quotas(host, config, build_limit_policy(config, SIZE))
    assert "has no quotas" in finding.what
    assert finding.why == "ext4 on /dev/vda1, mounted at /"
    assert finding.fix
    assert "tune2fs -O quota" in finding.fix
    assert finding.fix.index("modprobe quota_v2") < finding.fix.index("tune2fs")
    assert list(check_quotas(host, load(b""), build_limit_policy(load(b""), SIZE))) == []
