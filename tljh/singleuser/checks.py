"""Is what keeps people apart in place, and does a disk that they fill leave the hub some room?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.singleuser.network_isolation import UNIT, is_loaded, problem_of

if TYPE_CHECKING:
    from tljh.settings.root import Config


def isolation_findings(host: HostReader, config: Config) -> Iterator[Finding]:
    """What is wrong with the rules; nothing where they are not wanted."""
    if not config.isolation.network:
        return
    problem = problem_of(host)
    if problem:
        yield Finding(
            "people's ports on this machine are not kept apart",
            why=problem,
            fix="a kernel with nftables and connection tracking is needed; to do without: "
            "sudo tljh-config set isolation.network false",
        )
    elif not is_loaded(host):
        yield Finding(
            "people's ports on this machine are not kept apart any more",
            why="something removed the table `inet tljh` of nftables",
            fix=f"sudo systemctl restart {UNIT}",
        )


def disk_findings(host: HostReader, config: Config, paths: Paths) -> Iterator[Finding]:
    """Whether people can fill the file system that the hub writes its database to."""
    homes = config.users.home_root
    shown = host.query(["stat", "--format=%d", str(paths.state_dir), homes])
    devices = shown.out.split()
    if not shown.ok or len(set(devices)) != 1 or config.limits.disk:
        return
    free = host.query(["stat", "--file-system", "--format=%f %a", str(paths.state_dir)])
    blocks = free.out.split()
    if free.ok and len(blocks) == 2 and blocks[0] == blocks[1]:
        yield Finding(
            f"who fills {homes} stops the hub",
            why="its database is on the same file system, which keeps nothing back for root",
            fix="on ext4: sudo tune2fs -m 5 DEVICE; else a file system of its own for the homes, "
            "or quotas: tljh-config describe limits.disk",
        )
