"""Resources of logins on the machine: each way past the hub is closed, or has the same limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.resource import Resource
from tljh.machine_logins.bus_policy import build_bus_policy
from tljh.machine_logins.deny_lists import DenyList
from tljh.machine_logins.facts import LoginFacts
from tljh.machine_logins.session_limits import SessionLimits
from tljh.machine_logins.session_processes import build_session_resources
from tljh.machine_logins.ssh import build_ssh_resources
from tljh.machine_logins.user_managers import build_user_manager_resources
from tljh.plugins.manager import Contributions
from tljh.singleuser.facts import ServerFacts
from tljh.singleuser.limits import build_limit_policy

if TYPE_CHECKING:
    from tljh.settings.root import Config


def resources(config: Config, facts: Facts, paths: Paths, plugins: Contributions) -> list[Resource]:
    """Return the rules of the services that are installed, and the limits of sessions."""
    logins = facts.of(LoginFacts)
    accounts = frozenset(user.name for user in logins.users)
    lists = ((logins.has_cron, paths.cron_denials), (logins.has_at, paths.at_denials))
    return [
        *(build_ssh_resources(config.users) if logins.has_sshd else ()),
        *([build_bus_policy(config)] if logins.has_bus else ()),
        *(build_session_resources(config, logins.mount_problem) if logins.has_pam_profiles else ()),
        *build_user_manager_resources(
            paths,
            logins,
            allows_user_units=config.users.user_units,
            is_managed=config.users.accounts == "managed",
        ),
        *(DenyList(path, accounts) for is_installed, path in lists if is_installed),
        SessionLimits(build_limit_policy(config, facts.of(ServerFacts).size), logins.users, paths),
    ]
