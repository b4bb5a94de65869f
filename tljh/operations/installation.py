"""The resources of the installation itself, which belong to no part.

Debian packages, groups, directories, the hub's link, config.yaml, and both commands with their
completion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

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
from tljh.operations.distribution_upgrade import build_rebuild_resources
from tljh.operations.needrestart import build_needrestart_resources
from tljh.plugins.manager import Contributions

SUDOERS = f"""\
# Written by tljh: admins of the hub may become root.
%{ADMINS_GROUP} ALL = (ALL) NOPASSWD: ALL
Defaults exempt_group = {ADMINS_GROUP}
# A server's umask is 0077. Without these, what an admin installs from a terminal in JupyterLab
# (sudo pip install, sudo mkdir) could be read by root alone.
Defaults:%{ADMINS_GROUP} umask = 0022, umask_override
"""

# Debian's /etc/profile sets PATH to the system's default, also in a terminal of a user's server.
# The `python` of such a terminal would not be the one of the kernels, so this puts the user
# environment first again.
PROFILE = """\
# Written by tljh: in a server of the hub, the user environment comes first.
if [ -n "${{JUPYTERHUB_USER-}}" ]; then
    case "$PATH" in
        {bin}:*) ;;
        *) PATH="{bin}:$PATH" ;;
    esac
fi
"""

# A distribution upgrade may remove the Python of the hub environment. A link to the command in
# that environment would then fail with "not found", so the command is a script that prints the fix.
COMMAND = """\
#!/bin/sh
# Written by tljh: runs the command of the hub environment, or prints how to rebuild that.
if [ -x {hub}/bin/python ]; then exec {hub}/bin/{name} "$@"; fi
echo "error: {name} cannot run: the Python that {hub} was built on is gone" >&2
echo "  why: a distribution upgrade replaces it; the hub runs until it is restarted" >&2
echo "  fix: sudo {variable}python3 {bootstrap}" >&2
exit 1
"""


def build_installation_resources(
    facts: Facts, paths: Paths, plugins: Contributions, *, writes_configuration: bool
) -> list[Resource]:
    """Return the resources of the installation that belong to no part.

    `writes_configuration` is true for a command that changes config.yaml. Any other command sets
    only the file's mode: an edit that the admin makes meanwhile must not be overwritten.
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
        Sudoers(paths.sudoers, SUDOERS.encode()),
        File(paths.profile, profile.encode()),
        facts.hub_link(paths),
        configuration,
        *build_needrestart_resources(),
        *build_rebuild_resources(paths),
        *build_command_resources(paths),
    ]


def build_command_resources(paths: Paths) -> list[Resource]:
    """Return the files of the commands tljh and tljh-config, and of their completion in bash."""
    return [
        *(
            File(paths.commands_dir / name, format_command_script(paths, name), mode=0o755)
            for name in completion.COMMANDS
        ),
        Directory(paths.completions_dir.parent, 0o755),
        Directory(paths.completions_dir, 0o755),
        *(
            File(paths.completions_dir / name, completion.format_completion_script(name).encode())
            for name in completion.COMMANDS
        ),
    ]


def format_command_script(paths: Paths, name: str) -> bytes:
    """Return the script in /usr/bin that starts a command of the hub environment."""
    is_usual = paths.prefix == DEFAULT_PREFIX
    return COMMAND.format(
        hub=paths.hub,
        name=name,
        variable="" if is_usual else f"TLJH_INSTALL_PREFIX={paths.prefix} ",
        bootstrap=paths.hub_files.bootstrap,
    ).encode()


def reach_packages(
    resources: Sequence[Resource], variables: Mapping[str, str]
) -> Sequence[Resource]:
    """Return the resources, with the variables by which apt reaches its packages."""
    return [
        replace(resource, variables=variables) if isinstance(resource, AptPackages) else resource
        for resource in resources
    ]
