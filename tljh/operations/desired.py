"""Configuration, facts and plugins in; everything the machine shall have out, in order.

Pure: the same input gives the same list, and nothing here touches the machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.apt_packages import APT_PACKAGES
from tljh.base.paths import (
    API_SECRET,
    COOKIE_SECRET,
    DEFAULT_PREFIX,
    DROP_INS,
    HUB_FILE,
    INSTANCE,
    TOKEN_FILE,
    Paths,
)
from tljh.base.well_known import HUB_UNIT, SLICE, TRAEFIK_GROUP
from tljh.certificates.own_files import watch_resources
from tljh.certificates.renewal_units import renewal_units
from tljh.engine.account_resources import Group, SystemUser
from tljh.engine.apt_resource import AptPackages
from tljh.engine.file_resources import Absent, Access, Directory, File, Symlink
from tljh.engine.resource import Resource
from tljh.engine.sudoers import Sudoers
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP
from tljh.hub.configuration import as_json, hub_configuration
from tljh.hub.database_resource import HubDatabase
from tljh.hub.running_limits import RunningLimits
from tljh.hub.user_access import People
from tljh.operations import bash_completion as completion
from tljh.operations.facts import Facts
from tljh.operations.hub_environment import BOOTSTRAP
from tljh.operations.needrestart import needrestart_resources
from tljh.plugins.manager import Contributions
from tljh.proxy.resources import traefik_resources
from tljh.settings.derived import api_url
from tljh.singleuser.disk_limits import DiskLimits
from tljh.singleuser.limits import LIMITS_FILE, LimitsOfEverybody, caps, limits_in
from tljh.singleuser.limits import as_json as limits_as_json
from tljh.singleuser.resources import isolation_resources
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import Reread, Unit
from tljh.users.claims import DIRECTORY as CLAIMS
from tljh.users.declared_access import LEDGER, declared_in
from tljh.users.shared_folders import shared_folder_resources

if TYPE_CHECKING:
    from tljh.settings.root import Config

SUDOERS = f"""\
# Written by tljh: administrators of the hub may become root.
%{ADMINS_GROUP} ALL = (ALL) NOPASSWD: ALL
Defaults exempt_group = {ADMINS_GROUP}
"""


# Debian's /etc/profile replaces the PATH that a server was given by the system's own.
PROFILE = """\
# Written by tljh: in the server of one of the hub's users the shared environment comes first.
if [ -n "${{JUPYTERHUB_USER-}}" ]; then
    case "$PATH" in
        {bin}:*) ;;
        *) PATH="{bin}:$PATH" ;;
    esac
fi
"""


# A link into the environment would end in "not found" where a distribution upgrade took its Python.
COMMAND = """\
#!/bin/sh
# Written by tljh: the hub's own command, or what to do where it cannot run.
if [ -x {hub}/bin/python ]; then exec {hub}/bin/{name} "$@"; fi
echo "error: {name} cannot run: the Python that {hub} was built on is gone" >&2
echo "  why: a distribution upgrade replaces it; the hub runs until it is restarted" >&2
echo "  fix: sudo {variable}python3 {hub}/{bootstrap}" >&2
exit 1
"""


NOTICE_HUB = "users notice nothing: requests wait, servers live on"


NOTICE_PROXY = "users notice nothing: connections are handed over"


def foundation(paths: Paths, facts: Facts, plugins: Contributions) -> list[Resource]:
    """What has to be there before environments can be built: packages, accounts, directories."""
    state = paths.state_dir
    return [
        AptPackages((*APT_PACKAGES, *plugins.apt_packages)),
        Group(USERS_GROUP),
        Group(ADMINS_GROUP),
        SystemUser(TRAEFIK_GROUP, paths.traefik_dir),
        Directory(paths.prefix, 0o755),
        Directory(paths.versions, 0o755),
        Directory(paths.config_dir, 0o700),
        Directory(paths.hub_drop_ins, 0o700),
        Directory(paths.traefik_drop_ins, 0o700),
        Directory(state, 0o700),
        Directory(paths.rules_dir, 0o700),
        Directory(state / CLAIMS, 0o700),
        Directory(paths.applied_dir, 0o700),
        Directory(paths.applied_dir / DROP_INS, 0o700),
        secret_file(state / API_SECRET, facts.api_secret),
        secret_file(state / COOKIE_SECRET, facts.cookie_secret),
        secret_file(state / INSTANCE, facts.instance),
        secret_file(state / TOKEN_FILE, facts.hub_token),
        Sudoers(Path("/etc/sudoers.d/jupyterhub-admins"), SUDOERS.encode()),
        File(
            Path("/etc/profile.d/tljh.sh"),
            (PROFILE.format(bin=paths.user / "bin") + completion.PROFILE).encode(),
        ),
    ]


def command(paths: Paths, name: str) -> bytes:
    """What stands in /usr/bin for a command of the hub environment."""
    is_usual = paths.prefix == DEFAULT_PREFIX
    return COMMAND.format(
        hub=paths.hub,
        name=name,
        variable="" if is_usual else f"TLJH_INSTALL_PREFIX={paths.prefix} ",
        bootstrap=BOOTSTRAP,
    ).encode()


def secret_file(path: Path, value: str) -> File:
    return File(path, value.encode() + b"\n", mode=0o600, secret=True)


def desired(
    config: Config,
    config_bytes: bytes | None,
    facts: Facts,
    paths: Paths,
    plugins: Contributions,
    environments: Sequence[Resource] = (),
    force: frozenset[str] = frozenset(),
    removing: frozenset[str] = frozenset(),
) -> list[Resource]:
    """The whole machine. config.yaml stays as it stands where `config_bytes` are None.

    `environments` are the conda environments, where they are managed. `force` names units that
    restart even when nothing of theirs changed; `removing` names people who are shut out whether
    or not a list ever named them.
    """
    resources = foundation(paths, facts, plugins)
    resources += environments
    # By name: a plan's environment lies in a temporary directory, and would be built here.
    target = paths.versions.relative_to(paths.prefix) / facts.hub_environment.name
    resources.append(Symlink(paths.hub, str(target)))
    if config_bytes is None:
        # Only its mode is ours then: an edit while this is applied must not be written over.
        resources.append(Access(facts.config_file, 0o600))
    else:
        resources.append(
            File(facts.config_file, config_bytes, mode=0o600, secret=True, is_admins=True)
        )
    resources += applied_configuration(config, facts, paths)
    resources += traefik_resources(config, facts, paths)
    resources += isolation_resources(config, paths)
    for resource in units(facts, paths, force):
        if resource.key == f"unit {HUB_UNIT}":
            # It gives an order to the hub that this starts.
            resources.append(HubDatabase(paths.state_dir, facts.hub_environment))
        resources.append(resource)
    resources += renewal_units(paths)
    resources += watch_resources(config.https, paths)
    resources.append(people(config, paths, removing))
    limits = limits_in(config, facts.size)
    resources.append(running_limits(config, limits, paths))
    resources.append(DiskLimits(limits, paths.applied_dir / LIMITS_FILE))
    resources += shared_folder_resources(config.users.shared_folders)
    resources += needrestart_resources()
    resources += [
        File(paths.commands_dir / name, command(paths, name), mode=0o755)
        for name in completion.COMMANDS
    ]
    resources += [
        Directory(one, 0o755) for one in (completion.DIRECTORY.parent, completion.DIRECTORY)
    ]
    resources += [
        File(completion.DIRECTORY / name, completion.completion_script(name).encode())
        for name in completion.COMMANDS
    ]
    return resources


def people(config: Config, paths: Paths, removing: frozenset[str]) -> People:
    """Who may log in and do what, brought about without anybody logging in."""
    return People(
        declared_in(config),
        paths.state_dir / LEDGER,
        api_url(config.base_url),
        paths.state_dir / TOKEN_FILE,
        removing,
        has_own_accounts=config.users.accounts == "managed",
    )


def running_limits(config: Config, limits: LimitsOfEverybody, paths: Paths) -> RunningLimits:
    """Limits of the servers that run already."""
    return RunningLimits(limits, api_url(config.base_url), paths.state_dir / TOKEN_FILE)


def applied_configuration(config: Config, facts: Facts, paths: Paths) -> list[Resource]:
    """What the hub loads: our traits and copies of the drop-ins."""
    applied = paths.applied_dir
    copies = {applied / DROP_INS / name: data for name, data in facts.hub_drop_ins.items()}
    stale = [
        applied / DROP_INS / name
        for name in facts.applied_drop_ins
        if name not in facts.hub_drop_ins
    ]
    traits = as_json(hub_configuration(config, paths))
    return [
        File(applied / HUB_FILE, traits, mode=0o600, secret=True),
        File(applied / LIMITS_FILE, limits_as_json(config), mode=0o600),
        # Where the shared environment's Python finds it, beside the program of a server.
        File(
            paths.prefix / "kernel_deaths.py",
            files("tljh.singleuser.inside").joinpath("kernel_deaths.py").read_bytes(),
        ),
        *(File(path, data, mode=0o600) for path, data in sorted(copies.items())),
        *(Absent(path) for path in stale),
    ]


def units(facts: Facts, paths: Paths, force: frozenset[str] = frozenset()) -> list[Resource]:
    """Unit files and what runs of them. Traefik comes first: the hub waits for its API."""
    everybodys = caps(facts.size)
    files: Mapping[str, bytes] = {
        SLICE: render_unit(
            "jupyter.slice",
            memory_max_bytes=everybodys.memory_bytes,
            tasks_max=everybodys.tasks,
        ),
        "traefik.service": render_unit(
            "traefik.service", hub=paths.hub, traefik_dir=paths.traefik_dir
        ),
        "jupyterhub.service": render_unit(
            "jupyterhub.service",
            hub=paths.hub,
            prefix=paths.prefix,
            state_dir=paths.state_dir,
        ),
    }
    written = {name: File(paths.units_dir / name, data) for name, data in files.items()}
    # Not the limits: those are read at each start of a server.
    applied = paths.applied_dir
    return [
        *written.values(),
        Reread(SLICE, written[SLICE].key),
        Unit(
            "traefik.service",
            restart_on=frozenset({written["traefik.service"].key}),
            reload_on=frozenset(
                {
                    f"file {paths.traefik_dir}/traefik.yaml",
                    f"file {paths.traefik_dir}/entrypoints.json",
                    f"symlink {paths.hub}",
                }
            ),
            notice=NOTICE_PROXY,
            force_restart="proxy" in force,
        ),
        Unit(
            "jupyterhub.service",
            restart_on=frozenset(
                {
                    written["jupyterhub.service"].key,
                    f"symlink {paths.hub}",
                    "hub-database *",
                    f"file {applied / HUB_FILE}",
                    f"file {applied / DROP_INS}/*",
                    f"absent {applied / DROP_INS}/*",
                    f"file {paths.state_dir / API_SECRET}",
                    f"file {paths.state_dir / COOKIE_SECRET}",
                    f"file {paths.state_dir / TOKEN_FILE}",
                }
            ),
            notice=NOTICE_HUB,
            force_restart="hub" in force,
        ),
    ]
