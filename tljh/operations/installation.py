"""What the installation itself needs on the machine, whatever its parts are.

Packages, groups, directories, the hub's link, config.yaml, and the commands with their completion.
"""

from __future__ import annotations

from pathlib import Path

from tljh.base.apt_packages import APT_PACKAGES
from tljh.base.paths import DEFAULT_PREFIX, Paths
from tljh.engine.account_resources import Group
from tljh.engine.apt_resource import AptPackages
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Access, Directory, File
from tljh.engine.resource import Resource
from tljh.engine.sudoers import Sudoers
from tljh.host.accounts import ADMINS_GROUP, USERS_GROUP
from tljh.operations import bash_completion as completion
from tljh.operations.hub_environment import BOOTSTRAP
from tljh.operations.needrestart import needrestart_resources
from tljh.plugins.manager import Contributions

SUDOERS = f"""\
# Written by tljh: administrators of the hub may become root.
%{ADMINS_GROUP} ALL = (ALL) NOPASSWD: ALL
Defaults exempt_group = {ADMINS_GROUP}
"""

# Debian's /etc/profile replaces the PATH that a server was given by the system's own.
PROFILE = """\
# Written by tljh: in the server of one of the hub's users the user environment comes first.
if [ -n "${{JUPYTERHUB_USER-}}" ]; then
    case "$PATH" in
        {bin}:*) ;;
        *) PATH="{bin}:$PATH" ;;
    esac
fi
"""

# A link into the environment would end in "not found" where a distribution upgrade removed its
# Python, so the command is a small script that says what to do then.
COMMAND = """\
#!/bin/sh
# Written by tljh: the hub's own command, or what to do where it cannot run.
if [ -x {hub}/bin/python ]; then exec {hub}/bin/{name} "$@"; fi
echo "error: {name} cannot run: the Python that {hub} was built on is gone" >&2
echo "  why: a distribution upgrade replaces it; the hub runs until it is restarted" >&2
echo "  fix: sudo {variable}python3 {hub}/{bootstrap}" >&2
exit 1
"""


def installation_resources(
    facts: Facts, paths: Paths, plugins: Contributions, *, writes_configuration: bool
) -> list[Resource]:
    """Return the installation's own resources.

    Without `writes_configuration` only the mode of config.yaml is ours: an edit that the admin
    makes while this is applied must not be overwritten.
    """
    configuration: Resource = Access(facts.config_file, 0o600)
    if writes_configuration:
        configuration = File(
            facts.config_file, facts.config_bytes, mode=0o600, secret=True, is_admins=True
        )
    profile = PROFILE.format(bin=paths.user / "bin") + completion.PROFILE
    return [
        AptPackages((*APT_PACKAGES, *plugins.apt_packages)),
        Group(USERS_GROUP),
        Group(ADMINS_GROUP),
        Directory(paths.prefix, 0o755),
        Directory(paths.versions, 0o755),
        Directory(paths.config_dir, 0o700),
        Directory(paths.state_dir, 0o700),
        Sudoers(Path("/etc/sudoers.d/jupyterhub-admins"), SUDOERS.encode()),
        File(Path("/etc/profile.d/tljh.sh"), profile.encode()),
        facts.hub_link(paths),
        configuration,
        *needrestart_resources(),
        *command_resources(paths),
    ]


def command_resources(paths: Paths) -> list[Resource]:
    """Return both commands and their completion for bash."""
    place = completion.DIRECTORY
    return [
        *(
            File(paths.commands_dir / name, command_script(paths, name), mode=0o755)
            for name in completion.COMMANDS
        ),
        Directory(place.parent, 0o755),
        Directory(place, 0o755),
        *(
            File(place / name, completion.completion_script(name).encode())
            for name in completion.COMMANDS
        ),
    ]


def command_script(paths: Paths, name: str) -> bytes:
    """Return the file in /usr/bin for a command of the hub environment."""
    is_usual = paths.prefix == DEFAULT_PREFIX
    return COMMAND.format(
        hub=paths.hub,
        name=name,
        variable="" if is_usual else f"TLJH_INSTALL_PREFIX={paths.prefix} ",
        bootstrap=BOOTSTRAP,
    ).encode()
