"""Facts about users' servers: the size of the machine that they share."""

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
    """The size of the machine, which limits are computed from."""

    size: MachineSize


def read(host: HostReader, config: Config, paths: Paths) -> ServerFacts:
    """Read memory, processors and other sizes of the machine."""
    return ServerFacts(read_machine_size(host))
