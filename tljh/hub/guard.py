"""Have the hub's own Python load a candidate before it is applied; wait for the hub after."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.facts import Facts
from tljh.engine.resource import Guard
from tljh.host.interface import Host, HostReader
from tljh.hub.health import get_health_urls, wait_until_healthy
from tljh.proxy.facts import ProxyFacts
from tljh.systemd.unit_resource import Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class HubGuard(Guard):
    """Try the configuration of a hub that is about to start; check its answers afterwards."""

    config: Config
    facts: Facts
    paths: Paths
    unit: Unit
    selection: bytes

    kind: ClassVar[str] = "hub-guard"

    @property
    def name(self) -> str:
        return HUB_UNIT

    def rehearse(self, host: Host, changed: Set[str], progress: Progress) -> Sequence[Finding]:
        from tljh.hub.config_check import try_hub_configuration

        # Whatever starts or restarts the hub: one that runs may have loaded something else.
        if self.unit.key not in changed:
            return ()
        with progress.step("try the new configuration of the hub"):
            return try_hub_configuration(host, self.paths, self.config, self.facts, self.selection)

    def healthy(self, host: HostReader, deadline_s: float) -> None:
        instance = self.facts.of(ProxyFacts).instance
        wait_until_healthy(host, get_health_urls(self.config, instance), deadline_s)
