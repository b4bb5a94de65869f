"""Checks of users' servers: isolation, limits, and room that the hub needs on a shared disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.plugins.checks import Check, Result, Subject
from tljh.singleuser.disk_limits import quota_findings
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import limit_policy
from tljh.singleuser.memory_kills import memory_findings
from tljh.singleuser.network_isolation import UNIT, is_loaded, load_problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def isolation_findings(host: HostReader, config: Config) -> Iterator[Finding]:
    """Report that users' ports are not kept apart, unless the configuration says so."""
    if not config.isolation.network:
        return
    problem = load_problem(host)
    if problem:
        yield Finding(
            "users' ports on this machine are not kept apart",
            why=problem,
            fix="a kernel with nftables and connection tracking is needed; to do without: "
            "sudo tljh-config set isolation.network false",
        )
    elif (is_table_loaded := is_loaded(host)) is None:
        yield Finding(
            "whether users' ports are kept apart could not be checked",
            why="the program nft cannot run",
            fix="sudo apt-get install nftables",
        )
    elif not is_table_loaded:
        yield Finding(
            "users' ports on this machine are not kept apart any more",
            why="another program removed the table `inet tljh` of nftables",
            fix=f"sudo systemctl restart {UNIT}",
        )


def disk_findings(host: HostReader, config: Config, paths: Paths) -> Iterator[Finding]:
    """Report that users can fill the file system of the hub's database."""
    homes = config.users.home_root
    result = host.query(["stat", "--format=%d", str(paths.state_dir), homes])
    devices = result.out.split()
    if not result.ok or len(set(devices)) != 1 or config.limits.disk:
        return
    free = host.query(["stat", "--file-system", "--format=%f %a", str(paths.state_dir)])
    # Blocks that are free, and free for others than root: equal without a reserve for root.
    blocks = free.out.split()
    if free.ok and len(blocks) == 2 and blocks[0] == blocks[1]:
        yield Finding(
            f"a user who fills {homes} stops the hub",
            why="its database is on the same file system, which has no reserve for root",
            fix="on ext4: sudo tune2fs -m 5 DEVICE; else a separate file system for the homes, "
            "or quotas: tljh-config describe limits.disk",
        )


def _disk_limits(subject: Subject) -> Iterator[Result]:
    if subject.config and subject.facts:
        limits = limit_policy(subject.config, subject.facts.of(ServerFacts).size)
        for finding in quota_findings(subject.host, subject.config, limits):
            yield Severity.DEGRADED, finding


def _isolation(subject: Subject) -> Iterator[Result]:
    if subject.config and subject.is_installed:
        for finding in isolation_findings(subject.host, subject.config):
            yield Severity.DEGRADED, finding


def _memory(subject: Subject) -> Iterator[Result]:
    for finding in memory_findings(subject.host):
        yield Severity.DEGRADED, finding


def _room(subject: Subject) -> Iterator[Result]:
    if subject.config and subject.is_installed:
        for finding in disk_findings(subject.host, subject.config, subject.paths):
            yield Severity.DEGRADED, finding


CHECKS = (
    Check("disk limits", _disk_limits),
    Check("isolation", _isolation),
    Check("memory of servers", _memory, is_quick=False),
    Check("room for the hub", _room, is_quick=False),
)
