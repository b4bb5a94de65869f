"""A server of a user who exists only for the check: whether servers start with a new release.

The hub's own health page says nothing about starts. The user, the account and its home are removed
again, whether the start succeeds or not. Plugins' hooks for new users are not called.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tljh.base.account_names import make_account_name, make_unit_name
from tljh.base.errors import TljhError
from tljh.base.progress import Progress, SilentProgress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.removals import PurgedAccount
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.accounts import Account, ensure_account
from tljh.host.interface import Host, HostReader
from tljh.host.secret_files import read_token
from tljh.hub.api_client import HubApi
from tljh.hub.health import HealthUrls, wait_until_healthy

# A server on a busy machine with a cold disk; JupyterHub itself gives up later.
START_DEADLINE_S = 120.0
ANSWER_DEADLINE_S = 30.0
POLL_S = 0.3
# Two minutes of a busy hub.
LOG_LINES = 5000
TRACEBACK_LINES = 12


@dataclass(frozen=True)
class ServerProbe(Resource):
    """A real server start of the user `login`, and an answer of that server through the proxy.

    `api_url` ends in /hub/api; `base_url` is the public one, without a trailing slash.
    """

    login: str
    api_url: str
    base_url: str
    health: HealthUrls
    token_file: Path
    home_root: Path

    kind: ClassVar[str] = "server-probe"
    stage: ClassVar[Stage] = Stage.LAST

    @property
    def name(self) -> str:
        return "of a new user"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", "a server is started, answers, and is removed with its user")

    def before(self, host: HostReader) -> Record:
        return {"login": self.login, "url": self.api_url, "token_file": str(self.token_file)}

    def apply(self, host: Host, progress: Progress) -> None:
        wait_until_healthy(host, self.health)
        account = make_account_name(self.login)
        # Made here, not by the hub: for an account that exists, the hub calls no hooks.
        ensure_account(host, Account(account, self.login, home_root=self.home_root))
        api = HubApi(host, self.api_url, read_token(host, self.token_file) or "")
        try:
            api.add([self.login])
            api.start_server(self.login)
            self._wait_until_ready(host, api)
            self._wait_for_answer(host, api)
        finally:
            _remove(host, api, self.login)

    def _wait_until_ready(self, host: HostReader, api: HubApi) -> None:
        end_s = host.monotonic_s() + START_DEADLINE_S
        while True:
            server = api.read_server(self.login)
            if server is not None and server.is_ready:
                return
            has_ended = server is None or not server.is_pending
            if has_ended or host.monotonic_s() > end_s:
                raise self._failure(host, "did not start")
            host.pause(POLL_S)

    def _wait_for_answer(self, host: HostReader, api: HubApi) -> None:
        headers = {"Authorization": f"token {api.make_token(self.login)}"}
        url = f"{self.base_url}/user/{self.login}/api/status"
        end_s = host.monotonic_s() + ANSWER_DEADLINE_S
        while True:
            response = host.http("GET", url, timeout_s=10, headers=headers, verify=False)
            # Where users have subdomains, the proxy redirects to that of this user.
            if 200 <= response.status < 400:
                return
            if host.monotonic_s() > end_s:
                problem = f"does not answer through the proxy (status {response.status})"
                raise self._failure(host, problem)
            host.pause(POLL_S)

    def _failure(self, host: HostReader, problem: str) -> TljhError:
        unit = make_unit_name(make_account_name(self.login))
        reason = find_error_of(self.login, host.journal(HUB_UNIT, LOG_LINES))
        log = reason or f"last lines of its log:\n{host.journal(unit, 12).strip()}"
        return TljhError(
            f"the server of a new user {problem}",
            why=log,
            fix="correct the cause above, then upgrade again",
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        token = read_token(host, Path(record["token_file"])) or ""
        _remove(host, HubApi(host, record["url"], token), record["login"])


def find_error_of(login: str, log: str) -> str:
    """Return the last error that names a user in the hub's log, with its traceback; empty if none.

    Requests of other users fill the log meanwhile, so the last lines alone may not have it.
    """
    lines = log.splitlines()
    starts = [number for number, line in enumerate(lines) if "[E " in line and login in line]
    if not starts:
        return ""
    error = [lines[starts[-1]]]
    for line in lines[starts[-1] + 1 :]:
        # In the hub's log, each message but its continuation begins with [LEVEL.
        if re.search(r"(^|\]: |\s)\[[A-Z] \d{4}-", line):
            break
        error.append(line)
    return "\n".join(error[:1] + error[1:][-TRACEBACK_LINES:])


def _remove(host: Host, api: HubApi, login: str) -> None:
    """Remove the user, the server, the account and its home; a hub that is down has neither."""
    with contextlib.suppress(TljhError):
        api.act("shut-out", login)
    account = make_account_name(login)
    unit = make_unit_name(account)
    if host.unit(unit).is_active:
        host.systemctl("stop", unit)
    host.systemctl("reset-failed", unit)
    user = host.user(account)
    if user is not None:
        PurgedAccount(user).apply(host, SilentProgress())
