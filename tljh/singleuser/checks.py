"""Checks of users' servers: isolation, limits, and room that the hub needs on a shared disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.base.errors import Finding
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.plugins.checks import Check, CheckedMachine, Result
from tljh.singleuser.disk_limits import check_quotas
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import build_limit_policy
from tljh.singleuser.memory_kills import check_memory_kills
from tljh.singleuser.network_isolation import UNIT, is_loaded, load_problem

if TYPE_CHECKING:
    from tljh.settings.root import Config


def check_isolation(host: HostReader, config: Config) -> Iterator[Finding]:
    """Report if the nftables table that the configuration asks for is missing."""
    if config.isolation.network:
        what = "users' ports on this machine are not kept apart"
        off = "sudo tljh-config set isolation.network false"
    elif config.proxy.connections_per_address:
        what = "an address may open any number of connections"
        off = "sudo tljh-config set proxy.connections_per_address 0"
    else:
        return
    problem = load_problem(host)
    if problem:
        yield Finding(
            what,
            why=problem,
            fix=f"a kernel with nftables and connection tracking is needed; to do without: {off}",
        )
    elif (is_table_loaded := is_loaded(host)) is None:
        yield Finding(
            "whether the rules of nftables are loaded could not be checked",
            why="the program nft cannot run",
            fix="sudo apt-get install nftables",
        )
    elif not is_table_loaded:
        yield Finding(
            f"{what} any more" if config.isolation.network else what,
            why="another program removed the table `inet tljh` of nftables",
            fix=f"sudo systemctl restart {UNIT}",
        )


def check_disk(host: HostReader, config: Config, paths: Paths) -> Iterator[Finding]:
    """Report if users can fill the file system that holds the hub's database."""
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
            fix="on ext4: sudo tune2fs -m 5 DEVICE; else another file system for the homes "
            "(sudo tljh homes move DIRECTORY), or quotas: tljh-config describe limits.disk",
        )


def _check_disk_limits(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config and subject.facts:
        limits = build_limit_policy(subject.config, subject.facts.of(ServerFacts).size)
        for finding in check_quotas(subject.host, subject.config, limits):
            yield Severity.DEGRADED, finding


def _check_isolation(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config and subject.is_installed:
        for finding in check_isolation(subject.host, subject.config):
            yield Severity.DEGRADED, finding


def _check_memory(subject: CheckedMachine) -> Iterator[Result]:
    # The hub works: one user's program wanted more than its limit, which is what limits are for.
    for finding in check_memory_kills(subject.host):
        yield Severity.FINE, finding


def _check_room(subject: CheckedMachine) -> Iterator[Result]:
    if subject.config and subject.is_installed:
        for finding in check_disk(subject.host, subject.config, subject.paths):
            yield Severity.DEGRADED, finding


CHECKS = (
    Check("disk limits", _check_disk_limits),
    Check("isolation", _check_isolation),
    Check("memory of servers", _check_memory, is_quick=False),
    Check("room for the hub", _check_room, is_quick=False),
)
