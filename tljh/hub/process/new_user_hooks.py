"""The hook `tljh_new_user_create` of plugins: called for a new account until it has succeeded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tljh.base.errors import Finding
from tljh.base.paths import get_paths
from tljh.host.accounts import Account, ensure_server_account
from tljh.host.interface import Host
from tljh.hub.process.load_config import load_hub_plugins, read_selection
from tljh.plugins.guard import PluginError
from tljh.plugins.manager import TIMEOUT_S, PluginFailure, call

HOOK = "tljh_new_user_create"


def ensure_marked_account(host: Host, account: Account) -> bool:
    """Make the account of a user whose server starts; return whether it is new. Raises TljhError.

    A mark, written before the account exists, stays until the plugins' hooks have succeeded.
    """
    mark = _find_mark(account.name)
    if host.user(account.name) is None and account.may_create:
        host.mkdir(mark.parent, mode=0o700)
        host.write(mark, b"", mode=0o600)
    return ensure_server_account(host, account)


def call_pending_hooks(host: Host, account: Account) -> Sequence[Finding]:
    """Call the plugins' hooks for a new account; again at each start until all have succeeded.

    Returns the mistakes of those that failed, which the mark keeps. Raises PluginError where a
    required plugin fails: the server must not start without it.
    """
    mark = _find_mark(account.name)
    if host.info(mark) is None:
        return ()
    failures: list[PluginFailure] = []
    call(load_hub_plugins(), HOOK, failures=failures, timeout_s=TIMEOUT_S, username=account.name)
    findings = [failure.finding for failure in failures]
    if failures:
        data = json.dumps([finding.as_json() for finding in findings]).encode() + b"\n"
        host.write(mark, data, mode=0o600)
    else:
        host.remove(mark)
    required = read_selection(get_paths()).required
    for failure in failures:
        if failure.plugin in required:
            raise PluginError(failure.plugin, failure.finding)
    return findings


def _find_mark(account_name: str) -> Path:
    return get_paths().new_accounts / quote(account_name, safe="")
