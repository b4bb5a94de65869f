"""Removal of an account with its home, and of what `new_account` closed for it."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from urllib.parse import quote as quote_url

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.host.accounts import LOCK_TIMEOUT_S, make_mark
from tljh.host.home_archive import check_own_home
from tljh.host.interface import Host
from tljh.machine_logins.deny_lists import change_denials


def remove_account(host: Host, account: str, login: str, paths: Paths) -> None:
    """Delete an account that tljh made for `login`, and its home; its processes have ended.

    The account itself goes last, so that a call after a kill continues. Raises TljhError for an
    account or a home that is not its own.
    """
    user = host.user(account)
    if user is None:
        return
    if user.comment != make_mark(login):
        raise TljhError(
            f"{account} was not made for {login}, so it is not deleted",
            fix=f"check it: getent passwd {quote(account)}",
        )
    home = Path(user.home)
    if host.info(home) is not None:
        check_own_home(host, account, home)
        host.remove(home)
    for path in (paths.cron_denials, paths.at_denials):
        if host.info(path) is not None:
            change_denials(host, path, removed=[account])
    host.remove(paths.session_limits(user.uid).parent)
    host.remove(paths.new_accounts / quote_url(account, safe=""))
    with host.lock(Paths.accounts_lock, timeout_s=LOCK_TIMEOUT_S):
        host.remove_user(account)
