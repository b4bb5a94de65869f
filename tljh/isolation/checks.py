"""Is what keeps people's ports apart in place?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tljh.errors import Finding
from tljh.host.base import HostReader
from tljh.isolation.network import UNIT, is_loaded, problem_of

if TYPE_CHECKING:
    from tljh.config import Config


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
