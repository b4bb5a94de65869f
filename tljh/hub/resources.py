"""Resources of the hub: its secrets, its configuration, its database and its unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT
from tljh.engine.facts import Facts, choose_mode, find_parent_directories
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.hub.configuration import as_json, build_hub_configuration
from tljh.hub.database_move import DatabaseMove
from tljh.hub.database_resource import HubDatabase
from tljh.hub.database_server import list_server_resources
from tljh.hub.facts import DROP_INS, HubFacts
from tljh.hub.guard import HubGuard
from tljh.hub.restored_database import DatabaseRestored as DatabaseRestored
from tljh.hub.running_limits import RunningLimits
from tljh.hub.throttle_resource import ClearedThrottle as ClearedThrottle
from tljh.hub.user_access import UserAccess
from tljh.plugins.manager import Contributions
from tljh.plugins.selection import PluginSelection
from tljh.proxy.resources import make_api_secret_file, make_secret_file
from tljh.services.resources import build_token_files
from tljh.settings.database_address import get_database_address
from tljh.settings.derived import get_api_url, uses_internal_ssl
from tljh.settings.plugin_sections import dump_sections
from tljh.settings.value_changes import compare_code, compare_json
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import build_limit_policy
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Unit
from tljh.users.declared_access import collect_declared

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Older releases warn of the keys at each start.
FIRST_WITH_RESTART_STEPS = 254
NOTICE = "users notice nothing: requests wait, servers keep running"


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the hub's files, database and unit, and the changes that its running process makes."""
    hub = facts.of(HubFacts)
    cookie_secret = make_secret_file(paths.cookie_secret, hub.cookie_secret)
    token = make_secret_file(paths.hub_token, hub.token)
    metrics_token = make_secret_file(paths.metrics_token, hub.metrics_token)
    launcher_tokens = (
        [make_secret_file(paths.launcher_token, hub.launcher_token)] if hub.launcher_token else []
    )
    traits = as_json(build_hub_configuration(config, paths))
    hub_file = File(paths.applied.hub_file, traits, mode=0o600, compare=compare_json)
    drop_ins = _build_drop_ins(facts, paths)
    selection = PluginSelection(
        plugins.left_out, tuple(config.plugins.required), dump_sections(config), plugins.inputs
    )
    plugins_file = File(paths.applied.plugins, selection.as_json(), 0o600, secret=True)
    databases = build_database_resources(config, facts, paths)
    unit_file = File(
        paths.units_dir / HUB_UNIT,
        render_unit(
            HUB_UNIT,
            hub=paths.hub,
            prefix=paths.prefix,
            state_dir=paths.state_dir,
            applied_drop_ins=paths.applied.drop_ins,
            hub_drop_ins=paths.hub_drop_ins,
            has_restart_steps=hub.systemd_version >= FIRST_WITH_RESTART_STEPS,
        ),
    )
    # Not the limits: the hub reads them at each start of a server.
    unit = Unit(
        HUB_UNIT,
        restart_on=(
            unit_file,
            facts.hub_link(paths),
            *databases,
            hub_file,
            plugins_file,
            *drop_ins,
            make_api_secret_file(facts, paths),
            cookie_secret,
            token,
            metrics_token,
            *build_token_files(config, facts, paths),
            *launcher_tokens,
        ),
        notice=_describe_restart(hub.servers_before_switch, uses_internal_ssl(config)),
    )
    return [
        Directory(paths.hub_drop_ins, 0o700),
        Directory(paths.applied.directory, 0o700),
        Directory(paths.applied.drop_ins, 0o700),
        cookie_secret,
        token,
        metrics_token,
        *launcher_tokens,
        *list_server_resources(get_database_address(config, paths)),
        # Before the configuration that names the target of a move.
        *(each for each in databases if isinstance(each, DatabaseMove)),
        hub_file,
        plugins_file,
        *drop_ins,
        unit_file,
        HubGuard(config, facts, paths, unit, plugins_file.data),
        # Right before the unit: the hub that starts next migrates the database.
        *(each for each in databases if isinstance(each, HubDatabase)),
        unit,
        build_user_access(config, paths, (facts.hub_link(paths), hub_file, *drop_ins)),
        build_running_limits(config, facts, paths),
    ]


def _describe_restart(servers: Sequence[str], has_internal_ssl: bool) -> str:
    """Return what users notice of a restart, and which servers a switch of internal_ssl leaves."""
    if not servers:
        return NOTICE
    protocol = "plain HTTP" if has_internal_ssl else "TLS"
    names = ", ".join(servers[:5]) + (" …" if len(servers) > 5 else "")
    return f"{NOTICE}; until they stop, servers speak {protocol} as at their start: {names}"


def build_database_resources(
    config: Config, facts: Facts, paths: Paths
) -> list[HubDatabase | DatabaseMove]:
    """Return the database at the schema that the hub needs, or its move to another place."""
    current, target = facts.of(HubFacts).database, get_database_address(config, paths)
    if current is not None and current.identity != target.identity:
        return [DatabaseMove(paths, facts.hub_environment, current, target)]
    server = target if target.is_server else None
    before = facts.of(HubFacts).environment
    return [HubDatabase(paths, facts.hub_environment, server=server, environment_before=before)]


def _build_drop_ins(facts: Facts, paths: Paths) -> list[Resource]:
    """Return the copies of the admins' drop-ins that the hub loads, and removals of old ones."""
    contents = facts.files_in(DROP_INS)
    stale = [name for name in facts.of(HubFacts).applied_drop_ins if name not in contents]
    return [
        *(
            Directory(paths.applied.drop_ins / name, 0o700)
            for name in find_parent_directories(contents)
        ),
        *(
            File(
                paths.applied.drop_ins / name,
                data,
                mode=choose_mode(data),
                compare=compare_code,
            )
            for name, data in sorted(contents.items())
        ),
        *(Absent(paths.applied.drop_ins / name) for name in stale),
    ]


def build_user_access(
    config: Config, paths: Paths, sources: tuple[Resource, ...] = ()
) -> UserAccess:
    """Return the resource of users' access, from the lists in config.yaml."""
    return UserAccess(
        collect_declared(config),
        paths.ledger,
        paths.hub_lists,
        paths.applied.hub_file,
        get_api_url(config.base_url),
        paths.hub_token,
        sources,
        has_own_accounts=config.users.accounts == "managed",
    )


def build_running_limits(config: Config, facts: Facts, paths: Paths) -> RunningLimits:
    """Return the resource that applies changed limits to servers that already run."""
    limits = build_limit_policy(config, facts.of(ServerFacts).size)
    return RunningLimits(limits, get_api_url(config.base_url), paths.hub_token)
