"""What isolation takes on the machine: rules, and a unit that loads them."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import TRAEFIK_GROUP
from tljh.engine.file_resources import File
from tljh.engine.resource import Difference, Resource
from tljh.host.interface import HostReader
from tljh.singleuser.network_isolation import RULES_FILE, UNIT, is_loaded, problem_of
from tljh.singleuser.nftables_rules import removal, rules
from tljh.singleuser.sandbox import launcher
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class LoadedRules(Unit):
    """The unit that loads the rules, started again where somebody removed them behind its back."""

    are_wanted: bool = True

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        runs = self.are_wanted and host.unit(self.unit).is_active
        if runs and not problem_of(host) and not is_loaded(host):
            restarted = replace(self, are_wanted=False, force_restart=True)
            return restarted.planned(host, changed)
        return super().planned(host, changed)


def isolation_resources(config: Config, paths: Paths) -> list[Resource]:
    """Rules as the configuration wants them. Without `isolation.network` they remove the table."""
    settings = config.isolation
    script = removal()
    if settings.network:
        script = rules(
            proxy=TRAEFIK_GROUP,
            api_port=config.traefik_api.port,
            open_ports=settings.open_ports,
            metadata=settings.metadata,
        )
    written = File(paths.state_dir / RULES_FILE, script.encode(), mode=0o600)
    unit = File(paths.units_dir / UNIT, render_unit(UNIT, hub=paths.hub, prefix=paths.prefix))
    return [
        File(launcher(paths), files("tljh.singleuser.inside").joinpath("launcher.py").read_bytes()),
        written,
        unit,
        LoadedRules(
            UNIT,
            restart_on=frozenset({unit.key}),
            reload_on=frozenset({written.key}),
            notice="users notice nothing: connections stay",
            are_wanted=settings.network,
        ),
    ]
