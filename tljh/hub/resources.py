"""Resources of the hub: its secrets, its configuration, its database and its unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.base.well_known import HUB_UNIT
from tljh.engine.facts import Facts, mode_of, parent_directories
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.hub.configuration import as_json, hub_configuration
from tljh.hub.database_resource import HubDatabase
from tljh.hub.facts import DROP_INS, HubFacts
from tljh.hub.guard import HubGuard
from tljh.hub.running_limits import RunningLimits
from tljh.hub.user_access import People
from tljh.plugins.manager import Contributions
from tljh.proxy.resources import api_secret_file, secret_file
from tljh.settings.derived import api_url
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import limit_policy
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Unit
from tljh.users.declared_access import declared_in

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Older releases warn of the keys at each start.
FIRST_WITH_RESTART_STEPS = 254
NOTICE = "users notice nothing: requests wait, servers keep running"


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the hub's files, database and unit, and the changes that its running process makes."""
    hub = facts.of(HubFacts)
    cookie_secret = secret_file(paths.cookie_secret, hub.cookie_secret)
    token = secret_file(paths.hub_token, hub.token)
    traits = as_json(hub_configuration(config, paths))
    hub_file = File(paths.applied.hub_file, traits, mode=0o600, secret=True)
    drop_ins = _applied_drop_ins(facts, paths)
    database = HubDatabase(paths, facts.hub_environment)
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
            database,
            hub_file,
            *drop_ins,
            api_secret_file(facts, paths),
            cookie_secret,
            token,
        ),
        notice=NOTICE,
    )
    return [
        Directory(paths.hub_drop_ins, 0o700),
        Directory(paths.applied.directory, 0o700),
        Directory(paths.applied.drop_ins, 0o700),
        cookie_secret,
        token,
        hub_file,
        *drop_ins,
        unit_file,
        HubGuard(config, facts, paths, unit),
        # Right before the unit: the hub that starts next migrates the database.
        database,
        unit,
        declared_users(config, paths, (facts.hub_link(paths), hub_file, *drop_ins)),
        running_limits(config, facts, paths),
    ]


def _applied_drop_ins(facts: Facts, paths: Paths) -> list[Resource]:
    """Return copies of the admins' drop-ins, and the removal of stale copies."""
    contents = facts.files_in(DROP_INS)
    stale = [name for name in facts.of(HubFacts).applied_drop_ins if name not in contents]
    return [
        *(Directory(paths.applied.drop_ins / name, 0o700) for name in parent_directories(contents)),
        *(
            File(paths.applied.drop_ins / name, data, mode=mode_of(data))
            for name, data in sorted(contents.items())
        ),
        *(Absent(paths.applied.drop_ins / name) for name in stale),
    ]


def declared_users(config: Config, paths: Paths, sources: tuple[Resource, ...] = ()) -> People:
    """Return the users and admins of config.yaml, for the database of the running hub."""
    return People(
        declared_in(config),
        paths.ledger,
        paths.hub_lists,
        paths.applied.hub_file,
        api_url(config.base_url),
        paths.hub_token,
        sources,
        has_own_accounts=config.users.accounts == "managed",
    )


def running_limits(config: Config, facts: Facts, paths: Paths) -> RunningLimits:
    """Return the limits, for servers that already run."""
    limits = limit_policy(config, facts.of(ServerFacts).size)
    return RunningLimits(limits, api_url(config.base_url), paths.hub_token)
