"""Facts about users' servers: the size of the machine, and the groups with own configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.host.interface import HostReader
from tljh.singleuser.limits import MachineSize, read_machine_size

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class ServerFacts:
    """The size of the machine, which limits are computed from.

    `configured_groups` are the names of the directories with configuration of groups.
    """

    size: MachineSize
    configured_groups: tuple[str, ...] = ()


def read(host: HostReader, config: Config, paths: Paths) -> ServerFacts:
    """Read memory, processors and other sizes of the machine, and the names of directories."""
    groups = tuple(sorted(host.listdir(paths.group_configurations)))
    return ServerFacts(read_machine_size(host), groups)
