"""What closes a new account at once: the hub calls it when it has made one for a user's server."""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.host.interface import Host
from tljh.machine_logins.deny_lists import change_denials
from tljh.machine_logins.facts import CRONTAB
from tljh.machine_logins.session_limits import format_slice, write_limits
from tljh.singleuser.limits import ServerLimits


def close_new_account(host: Host, account: str, limits: ServerLimits, paths: Paths) -> None:
    """Keep an account from cron and at, and limit its login sessions.

    SSH, user managers and polkit go by the account's groups.
    """
    user = host.user(account)
    if user is None:
        return
    if host.info(CRONTAB) is not None:
        change_denials(host, paths.cron_denials, added=[account])
    if host.info(paths.at_denials) is not None:
        change_denials(host, paths.at_denials, added=[account])
    write_limits(host, paths.session_limits(user.uid), format_slice(limits))
