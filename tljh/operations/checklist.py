"""The checklist of production: each item as measured on this machine, with the way to have it.

An item that cannot be measured says so. An admin waives one with a reason in config.yaml.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.alerts.channels import find_channel_problem, list_channels
from tljh.alerts.resources import TIMER as ALERTS_TIMER
from tljh.alerts.state_file import read_alert_state
from tljh.backup.checks import find_backup_problems
from tljh.backup.last_runs import read_last_runs
from tljh.base.clock import get_utc_time
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.base.sizes import format_size
from tljh.conda.snapshots import read_snapshots
from tljh.host.home_snapshots import Obstacle, find_place, get_time, list_snapshots
from tljh.host.interface import HostReader
from tljh.host.machine_memory import read_memory
from tljh.operations.certificate_renewal import read_certificate_state
from tljh.operations.checklist_guards import (
    measure_address,
    measure_clock,
    measure_firewall,
    measure_reboot,
    measure_ssh,
    measure_updates,
)
from tljh.operations.checklist_item import Declaration, Item, Measured, State, Subject
from tljh.operations.checks import examine_machine
from tljh.operations.status import count_servers
from tljh.operations.user_hosts import find_unused_wildcard, has_user_hosts
from tljh.settings.derived import get_authenticator_class
from tljh.settings.login_providers import find_provider
from tljh.singleuser.checks import check_isolation

if TYPE_CHECKING:
    pass


LOW_DISK_SHARE = 0.1
SMALLEST_SHARE_BYTES = 1 << 30
OLDEST_CHECK_DAYS = 45


def read_checklist(host: HostReader, paths: Paths) -> list[Item]:
    """Measure every item of the applied configuration. Raises TljhError if no hub is installed."""
    config = examine_machine(host, paths).config
    if config is None or host.readlink(paths.hub) is None:
        raise TljhError(
            f"there is no working configuration of a hub at {paths.prefix}",
            fix="see: sudo tljh status",
        )
    subject = Subject(host, paths, config)
    return [_examine(item, subject, config.checklist.waived) for item in DECLARATIONS]


def _examine(item: Declaration, subject: Subject, waived: Mapping[str, str]) -> Item:
    try:
        measured = item.measure(subject)
    except (TljhError, OSError, ValueError) as error:
        measured = Measured(None, f"could not be measured: {error}")
    state: State = "done" if measured.is_done else "missing"
    if measured.is_done is None:
        state = "unknown"
    if state != "done" and item.name in waived:
        return Item(item.name, item.title, "waived", f"{measured.seen}; {waived[item.name]}")
    if state == "done":
        return Item(item.name, item.title, state, measured.seen)
    return Item(item.name, item.title, state, measured.seen, item.why, measured.fix)


def _measure_login(subject: Subject) -> Measured:
    name = get_authenticator_class(subject.config).rpartition(".")[2]
    if "dummy" in name.lower():
        return Measured(False, "anybody can log in with any name", "see: tljh auth list")
    if "null" in name.lower():
        return Measured(True, "nobody can log in by page")
    provider = find_provider(subject.config.auth.type)
    return Measured(True, provider.title if provider else name)


def _measure_https(subject: Subject) -> Measured:
    state = read_certificate_state(subject.host, subject.paths)
    if state.mode is None:
        return Measured(
            False,
            "passwords cross the network in the clear",
            "with a name of the machine: sudo tljh-config set https.letsencrypt.email "
            "you@example.org && sudo tljh-config add-item https.letsencrypt.domains "
            "hub.example.org && sudo tljh-config set https.enabled true && "
            "sudo tljh-config reload; in a LAN: sudo tljh-config set https.mode internal",
        )
    problem = state.problem or "; ".join(state.complaints)
    if problem:
        return Measured(False, problem, "see: sudo tljh cert status")
    return Measured(True, f"{state.mode}, {', '.join(state.names) or 'all names of the machine'}")


def _measure_user_hosts(subject: Subject) -> Measured:
    finding = find_unused_wildcard(subject.host, subject.paths)
    if finding is not None:
        return Measured(False, finding.what, finding.fix or "")
    if has_user_hosts(subject.host, subject.paths):
        return Measured(True, "each user has one")
    return Measured(True, "all share the hub's: no certificate is for all names below it")


def _measure_limits(subject: Subject) -> Measured:
    problems = [finding.what for finding in check_isolation(subject.host, subject.config)]
    if subject.config.limits.memory is None:
        problems.append("one server may use the memory of all")
    if not subject.config.isolation.network:
        problems.append("users reach each other's ports")
    if problems:
        return Measured(
            False,
            "; ".join(problems),
            "sudo tljh-config set limits.memory auto && sudo tljh-config set isolation.network "
            "true && sudo tljh-config reload",
        )
    return Measured(True, f"memory {subject.config.limits.memory}, ports kept apart")


def _measure_disk_limits(subject: Subject) -> Measured:
    homes, state = subject.config.users.home_root, str(subject.paths.state_dir)
    devices = subject.host.query(["stat", "--format=%d", homes, state]).out.split()
    if subject.config.limits.disk:
        return Measured(True, f"limits.disk is {subject.config.limits.disk}")
    if len(devices) == 2 and devices[0] != devices[1]:
        return Measured(True, f"{homes} is a file system of its own")
    return Measured(
        False,
        f"{homes} is on the disk of the system and of the hub's database",
        "mount another disk, for example at /srv/homes, then: sudo tljh homes move /srv/homes; or "
        "set limits.disk (docs: disk quotas)",
    )


def _measure_room(subject: Subject) -> Measured:
    homes = subject.config.users.home_root
    low = []
    for directory in dict.fromkeys(("/", homes, str(subject.paths.prefix))):
        info = os.statvfs(directory)
        share = info.f_bavail / max(info.f_blocks, 1)
        if share < LOW_DISK_SHARE:
            low.append(f"{directory} has {format_size(info.f_bavail * info.f_frsize)} left")
    if low:
        return Measured(
            False, "; ".join(low), "see what takes it: sudo tljh disk; sudo tljh disk --clean"
        )
    return Measured(True, "more than a tenth of each disk is free")


def _measure_backups(subject: Subject) -> Measured:
    backup = subject.config.backup
    if backup.repository is None:
        return Measured(False, "none", "sudo tljh backup setup /mnt/backup (or sftp:, s3:, rest:)")
    last = read_last_runs(subject.host, subject.paths.last_backup)
    problems = list(find_backup_problems(last, backup.schedule, get_utc_time()))
    if problems:
        return Measured(False, problems[0].what, problems[0].fix or "")
    return Measured(True, f"the last one is from {last.completed}")


def _measure_alerts(subject: Subject) -> Measured:
    settings = subject.config.alerts
    fix = (
        "sudo tljh-config add-item alerts.mail.to you@example.org && sudo tljh-config reload && "
        "sudo tljh alerts test (docs: alerts)"
    )
    if not settings.has_channels:
        return Measured(False, "nobody is told when the hub is down", fix)
    problem = find_channel_problem(subject.host, settings)
    if problem is not None:
        return Measured(False, problem.findings[0].what, problem.findings[0].fix or "")
    problems = read_alert_state(subject.host, subject.paths).problems
    channels = list_channels(settings)
    failed = [channel.name for channel in channels if channel.key in problems]
    if failed:
        return Measured(False, f"not taken: {', '.join(failed)}", "sudo tljh alerts test")
    if not subject.host.unit(ALERTS_TIMER).is_active:
        return Measured(False, f"{ALERTS_TIMER} does not run", "sudo tljh-config reload")
    return Measured(True, "; ".join(channel.name for channel in channels))


def _measure_backup_check(subject: Subject) -> Measured:
    last = read_last_runs(subject.host, subject.paths.last_backup)
    fix = "sudo tljh backup check --restore"
    if last.checked is None or last.checked_at is None:
        return Measured(False, "no backup was ever restored for a check", fix)
    age = get_utc_time() - last.checked_at
    if age.days > OLDEST_CHECK_DAYS:
        return Measured(False, f"the last check was {age.days} days ago", fix)
    return Measured(True, f"checked at {last.checked}")


def _measure_other_disk(subject: Subject) -> Measured:
    repository = subject.config.backup.repository
    if repository is None:
        return Measured(False, "there is no backup", "sudo tljh backup setup REPOSITORY")
    if not repository.startswith("/"):
        return Measured(True, repository.partition(":")[0])
    homes = subject.config.users.home_root
    devices = subject.host.query(["stat", "--format=%d", repository, homes]).out.split()
    if len(devices) == 2 and devices[0] != devices[1]:
        return Measured(True, f"{repository} is on another disk")
    return Measured(
        False,
        f"{repository} is on the disk that it is a backup of",
        "choose another disk or another machine: sudo tljh backup setup REPOSITORY",
    )


def _measure_snapshots(subject: Subject) -> Measured:
    snapshots = read_snapshots(subject.host, subject.paths.versions)
    if not snapshots:
        return Measured(False, "none", "sudo tljh env snapshot installed")
    return Measured(True, format_count(len(snapshots), "snapshot"))


def _measure_home_snapshots(subject: Subject) -> Measured:
    place = find_place(subject.host, Path(subject.config.users.home_root))
    if isinstance(place, Obstacle):
        return Measured(True, f"backups have old files: {place.why}")
    names = list_snapshots(subject.host, place)
    if not subject.config.homes.snapshots.enabled:
        return Measured(
            False,
            "none by a timer",
            "sudo tljh-config set homes.snapshots.enabled true && sudo tljh-config reload",
        )
    if not names:
        return Measured(False, "none yet", "sudo tljh homes snapshot")
    last = get_time(names[-1])
    return Measured(
        True, f"{format_count(len(names), 'snapshot')}, the last {last:%Y-%m-%d %H:%M} UTC"
    )


def _measure_memory(subject: Subject) -> Measured:
    total_bytes = read_memory(subject.host).get("MemTotal")
    if total_bytes is None:
        return Measured(None, "the machine's memory could not be read")
    servers = count_servers(subject.host)
    seen = f"{format_size(total_bytes)} for {format_count(servers, 'running server')}"
    is_enough = total_bytes >= SMALLEST_SHARE_BYTES + servers * (SMALLEST_SHARE_BYTES // 4)
    return Measured(
        is_enough, seen, "choose a larger machine, or a smaller limits.memory; see: sudo tljh size"
    )


DECLARATIONS = (
    Declaration("login", "a real login", "Strangers could use the machine.", _measure_login),
    Declaration("https", "HTTPS", "Passwords and work can be read on the way.", _measure_https),
    Declaration(
        "user-hosts",
        "a host name for each user, where there is a wildcard name",
        "A page of one user's server acts in the name of its visitors.",
        _measure_user_hosts,
    ),
    Declaration("limits", "limits and walls", "One user could stop all others.", _measure_limits),
    Declaration(
        "disk-limits",
        "homes cannot fill the system's disk",
        "A full disk stops the hub for all.",
        _measure_disk_limits,
    ),
    Declaration("room", "room on the disks", "A full disk stops the hub for all.", _measure_room),
    Declaration("alerts", "alerts", "A hub may be down for days unnoticed.", _measure_alerts),
    Declaration("memory", "enough memory", "Servers would be killed.", _measure_memory),
    Declaration("backups", "backups", "A disk dies, a user deletes.", _measure_backups),
    Declaration(
        "backup-check",
        "a backup was restored for a check",
        "A backup that nobody restored is a hope.",
        _measure_backup_check,
    ),
    Declaration(
        "backup-place",
        "backups in another place",
        "What takes the disk takes the backup with it.",
        _measure_other_disk,
    ),
    Declaration(
        "snapshots",
        "snapshots of the environment",
        "An installation that breaks it can be gone back from.",
        _measure_snapshots,
    ),
    Declaration(
        "home-snapshots",
        "snapshots of the homes, where their disk can make them",
        "Users find old versions of their files by themselves.",
        _measure_home_snapshots,
    ),
    Declaration(
        "address", "an address that stays", "Users and certificates rely on it.", measure_address
    ),
    Declaration("ssh", "SSH for an admin, by key", "A way in when the hub is down.", measure_ssh),
    Declaration("firewall", "a firewall", "Programs open ports unasked.", measure_firewall),
    Declaration("updates", "automatic updates", "Known holes get closed.", measure_updates),
    Declaration("reboot", "no reboot is due", "Fixes wait for it.", measure_reboot),
    Declaration("clock", "the clock is set", "Certificates depend on the time.", measure_clock),
)
