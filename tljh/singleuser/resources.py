"""Resources of users' servers: their launcher, slice, limits and isolation."""

from __future__ import annotations

import json
from collections.abc import Set
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import SLICE, TRAEFIK_GROUP
from tljh.engine.facts import Facts
from tljh.engine.file_resources import File
from tljh.engine.resource import Difference, Resource
from tljh.host.interface import HostReader
from tljh.plugins.manager import Contributions
from tljh.settings.sections.services import get_account
from tljh.settings.value_changes import compare_json
from tljh.singleuser.disk_limits import DiskLimits
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.jupyter_configuration import build_jupyter_resources
from tljh.singleuser.limits import MIB, build_limit_policy, compute_total_limits, format_policy
from tljh.singleuser.network_isolation import UNIT, has_table, is_loaded, load_problem
from tljh.singleuser.nftables_rules import VisitorLimit, format_removal, format_table
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import LiveUnit, Unit

if TYPE_CHECKING:
    from tljh.settings.root import Config


@dataclass(frozen=True)
class LoadedRules(Unit):
    """The unit that loads the rules, restarted when another program removed their table.

    `keeps_table` is false while the rules themselves remove it.
    """

    keeps_table: bool = True

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        must_have_table = self.keeps_table and host.unit(self.unit).is_active
        if must_have_table and not load_problem(host) and is_loaded(host) is False:
            restarted = replace(self, keeps_table=False, force_restart=True)
            return restarted.planned(host, changed)
        return super().planned(host, changed)


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the launcher's programs, the slice of all servers, isolation, and disk limits."""
    server_facts = facts.of(ServerFacts)
    size = server_facts.size
    total = compute_total_limits(size)
    inside = files("tljh.singleuser.inside")
    slice_file = File(
        paths.units_dir / SLICE,
        render_unit(SLICE, memory_max_mib=total.memory_bytes // MIB, tasks_max=total.tasks),
    )
    return [
        File(paths.launcher, inside.joinpath("launcher.py").read_bytes()),
        # Next to the launcher, where the import of the user environment's Python finds it.
        File(paths.kernel_deaths, inside.joinpath("kernel_deaths.py").read_bytes()),
        *build_jupyter_resources(config, paths, server_facts.configured_groups),
        File(paths.applied.limits, format_policy(config), mode=0o600, compare=compare_json),
        *build_isolation_resources(config, paths),
        slice_file,
        LiveUnit(SLICE, slice_file),
        DiskLimits(build_limit_policy(config, size), paths.applied.limits),
    ]


def build_isolation_resources(config: Config, paths: Paths) -> list[Resource]:
    """Return the file of nftables rules, and the unit that loads it at boot.

    Where no setting needs the table, the rules only remove it.
    """
    script = _format_rules(config)
    rules_file = File(paths.isolation_rules, script.encode(), mode=0o600)
    ports_file = File(paths.service_ports, _format_service_ports(config), mode=0o600)
    unit_file = File(paths.units_dir / UNIT, render_unit(UNIT, hub=paths.hub, prefix=paths.prefix))
    return [
        rules_file,
        ports_file,
        unit_file,
        LoadedRules(
            UNIT,
            restart_on=(unit_file,),
            reload_on=(rules_file, ports_file),
            notice="users notice nothing: connections stay",
            keeps_table=has_table(script),
        ),
    ]


def _format_service_ports(config: Config) -> bytes:
    """Return the ports of services, which only the proxy may reach, by the services' accounts.

    The account of an admin's choice may have other programs, which users are to reach.
    """
    services = config.services.managed.items()
    ports = {get_account(name): each.port for name, each in services if each.port and not each.user}
    return json.dumps(ports, sort_keys=True).encode() + b"\n"


def _format_rules(config: Config) -> str:
    settings, most_connections = config.isolation, config.proxy.connections_per_address
    if not (settings.network or most_connections):
        return format_removal()
    ports = [config.http.port, *([config.https.port] if config.https.enabled else [])]
    visitors = VisitorLimit(tuple(ports), most_connections, tuple(config.trusted_proxies))
    return format_table(
        proxy=TRAEFIK_GROUP,
        api_port=config.traefik_api.port,
        open_ports=settings.open_ports,
        metadata=settings.metadata,
        isolates_users=settings.network,
        visitors=visitors if most_connections else None,
    )
