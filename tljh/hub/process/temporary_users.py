"""Temporary users: made for the launcher, and removed with all they have after their session.

Each has a record, a file in the hub's state. It is written before the hub knows the user, and
deleted last: whatever ends the hub in between, its next process removes what is left. Only users
with a record are ever removed, and a record is made for a new, random name only.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import secrets
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jupyterhub import orm, roles
from jupyterhub.apihandlers.base import APIHandler
from tornado import web

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.base.well_known import LAUNCH_SCOPE, TEMPORARY_GROUP
from tljh.host.accounts import find_account_name, find_running_units
from tljh.host.interface import Host
from tljh.hub.process.ration_watch import end_everything
from tljh.hub.process.user_actions import shut_out
from tljh.machine_logins.removed_account import remove_account

PREFIX = "guest-"
NAME = re.compile(rf"{PREFIX}[a-z0-9]{{10}}")

# No vowels, no letters that look like digits.
_LETTERS = "bcdfghjkmnpqrstvwxz23456789"

SWEEP_EVERY_S = 2.0
# An application may stop a server and start it again. A start that the hub's restart ended is
# begun again once the hub answers.
RESTART_S = 10.0
# After a failure, so that the log does not fill.
PAUSE_AFTER_FAILURE_S = 60.0


def is_temporary(name: str) -> bool:
    """Return whether a user has a record of a temporary user."""
    return NAME.fullmatch(name) is not None and _record(name).is_file()


def _record(name: str) -> Path:
    return get_paths().temporary_users / name


def list_temporary_users(host: Host) -> dict[str, float]:
    """Return the time at which each temporary user was made, by name."""
    times = {}
    for name in host.listdir(get_paths().temporary_users):
        if NAME.fullmatch(name):
            data = host.read(_record(name)) or b"{}"
            try:
                times[name] = float(json.loads(data)["made_s"])
            except (ValueError, KeyError, TypeError):
                # A crash of the machine may leave an empty file.
                times[name] = 0.0
    return times


def make_temporary_user(host: Host, hub: Any) -> Any:
    """Make a user with a new name in the hub, and return it. Raises TljhError without a disk."""
    while True:
        name = PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(10))
        account = find_account_name(host, name)
        if orm.User.find(hub.db, name) is None and account and host.user(account) is None:
            break
    host.mkdir(get_paths().temporary_users, mode=0o700)
    host.write(_record(name), json.dumps({"made_s": time.time()}).encode() + b"\n", mode=0o600)
    group = orm.Group.find(hub.db, TEMPORARY_GROUP)
    if group is None:
        group = orm.Group(name=TEMPORARY_GROUP)
        hub.db.add(group)
    user = orm.User(name=name)
    hub.db.add(user)
    user.groups.append(group)
    hub.db.commit()
    roles.assign_default_roles(hub.db, entity=user)
    return user


class LauncherHandler(APIHandler):
    """A handler of requests that need the launcher's scope."""

    async def prepare(self) -> None:
        await super().prepare()
        # Not `needs_scope`: it takes scopes that exist when this module is loaded.
        if LAUNCH_SCOPE not in self.expanded_scopes:
            raise web.HTTPError(403, f"the token does not have the scope {LAUNCH_SCOPE}")


class EndedSessionHandler(LauncherHandler):
    """`DELETE /hub/api/tljh/temporary-users/NAME`: 204 once nothing is left, also during a start.

    JupyterHub's own DELETE answers 500 while the server starts.
    """

    async def delete(self, name: str) -> None:
        watch: SessionWatch = self.settings["app"].session_watch
        if not is_temporary(name):
            raise web.HTTPError(404, f"there is no temporary user {name}")
        await watch.remove(name, f"{self.current_user.name} ended the session")
        self.set_status(204)


class TemporaryUsersHandler(LauncherHandler):
    """`POST /hub/api/tljh/temporary-users`: 201 with the name of a new user; 429 if too many."""

    async def post(self) -> None:
        watch: SessionWatch = self.settings["app"].session_watch
        if len(list_temporary_users(watch.host)) >= watch.limits.most:
            self.set_status(429)
            self.set_header("Retry-After", "30")
            message = "too many temporary users at the same time"
            self.write(json.dumps({"status": 429, "message": message}))
            return
        user = make_temporary_user(watch.host, self.settings["app"])
        self.log.info("%s made the temporary user %s", self.current_user.name, user.name)
        self.set_status(201)
        self.write(json.dumps({"name": user.name}))


@dataclass(frozen=True)
class LaunchLimits:
    """When a session ends, in seconds, and how many users there are at most; see `launch`."""

    idle: int = 1800
    longest: int = 14_400
    unused: int = 300
    most: int = 100
    token_in_url: bool = False
    enabled: bool = False


@dataclass
class SessionWatch:
    """Removes temporary users whose session has ended, for as long as the hub runs."""

    host: Host
    app: Any
    limits: LaunchLimits
    log: logging.Logger
    start_s: float = field(default_factory=time.monotonic)

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
                await asyncio.sleep(SWEEP_EVERY_S)
            except Exception:
                self.log.exception("temporary users could not be checked")
                await asyncio.sleep(PAUSE_AFTER_FAILURE_S)

    async def sweep(self) -> None:
        """Remove all users whose session has ended, several at the same time."""
        ended = {
            name: reason
            for name, made_s in list_temporary_users(self.host).items()
            if (reason := self._find_end(name, made_s))
        }
        await asyncio.gather(*(self.remove(name, reason) for name, reason in ended.items()))

    def _find_end(self, name: str, made_s: float) -> str:
        """Return why a session has ended; empty for one that has not."""
        user = self.app.users.get(name) if orm.User.find(self.app.db, name) else None
        if user is None:
            return "the user was deleted"
        time_s = time.time()
        if any(spawner.active or spawner.pending for spawner in user.spawners.values()):
            if time_s - made_s > self.limits.longest:
                return f"the session is longer than {self.limits.longest} s"
            is_ready = any(spawner.ready for spawner in user.spawners.values())
            if is_ready and time_s - _get_activity(user, made_s) > self.limits.idle:
                return f"no activity for {self.limits.idle} s"
            return ""
        idle_s = time_s - _get_activity(user, made_s)
        # JupyterHub notes the time when a server starts and when it ends.
        if any(server.last_activity for server in user.orm_user.orm_spawners.values()):
            waited_s = min(idle_s, time.monotonic() - self.start_s)
            return "the server has ended" if waited_s > RESTART_S else ""
        return f"no server for {self.limits.unused} s" if idle_s > self.limits.unused else ""

    async def remove(self, name: str, reason: str) -> None:
        """Remove a user; where that fails, the next sweep tries again."""
        try:
            await shut_out(self.app, name)
            await asyncio.to_thread(self._remove_account, name)
        except (TljhError, OSError) as error:
            # The record stays.
            self.log.warning("the temporary user %s could not be removed: %s", name, error)
            return
        self.log.info("removed the temporary user %s: %s", name, reason)

    def _remove_account(self, name: str) -> None:
        paths = get_paths()
        account = find_account_name(self.host, name)
        user = self.host.user(account) if account else None
        if user is not None:
            end_everything(self.host, user)
            # systemd keeps a unit that failed until its state is reset.
            for unit in find_running_units(self.host, user.name):
                self.host.systemctl("stop", unit)
                self.host.systemctl("reset-failed", unit)
            remove_account(self.host, user.name, name, paths)
        self.host.remove(_record(name))


def _get_activity(user: Any, made_s: float) -> float:
    """Return the time of a user's last activity, in the hub or at a server."""
    times = [user.last_activity, *(s.last_activity for s in user.orm_user.orm_spawners.values())]
    seconds = [_to_seconds(each) for each in times if each is not None]
    return max([made_s, *seconds])


def _to_seconds(value: datetime) -> float:
    # JupyterHub's database has times of UTC without a zone.
    return value.replace(tzinfo=timezone.utc).timestamp()


HANDLERS = [
    (r"/api/tljh/temporary-users", TemporaryUsersHandler),
    (r"/api/tljh/temporary-users/([^/]+)", EndedSessionHandler),
]
