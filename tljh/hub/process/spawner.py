"""Users' servers as units of systemd, each under its own Linux account and within its limits."""

from __future__ import annotations

import asyncio
import contextlib
import pwd
import sys
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from jupyterhub.utils import random_port
from systemdspawner import SystemdSpawner
from systemdspawner.systemd import make_environment_file
from tornado import web
from traitlets import Bool, Dict, Enum, Integer, List, Unicode

from tljh.base.account_names import account_name, unit_name
from tljh.base.errors import TljhError
from tljh.base.paths import paths_from_environment
from tljh.host import transient_units as transient
from tljh.host.accounts import Account, account_of_server
from tljh.host.real import RealHost
from tljh.host.transient_units import TransientUnit
from tljh.hub.process.load_config import applied_directory
from tljh.hub.process.server_start import Start, put_off
from tljh.hub.process.start_queue import Closed, StartQueue, Turn
from tljh.singleuser import network_isolation as network
from tljh.singleuser.limits import LIMITS_FILE, ServerLimits, concurrent_starts, machine_size, parse
from tljh.singleuser.sandbox import unit_properties

# JupyterHub counts its timeout from when a start is asked for; ours begins when it has its turn.
LONGEST_QUEUE_S = 3600


PROGRESS_EVERY_S = 0.5


@cache
def start_queue(wanted: int | None) -> StartQueue:
    """The one queue of this hub."""
    return StartQueue(concurrent_starts(wanted, machine_size(RealHost())))


class UserCreatingSpawner(SystemdSpawner):
    """A SystemdSpawner that makes the user's account first, off the hub's event loop."""

    user_groups = Dict(
        value_trait=List(Unicode()),
        key_trait=Unicode(),
        help="Linux groups to login names: who gets which extra groups.",
        config=True,
    )

    default_groups = List(Unicode(), help="Linux groups that everybody joins.", config=True)
    accounts = Enum(
        ("managed", "existing"),
        "managed",
        help="Whether accounts are made, or the machine's own are used.",
        config=True,
    )
    home_root = Unicode("/home", help="Where homes of new accounts are made.", config=True)
    skeleton = Unicode(
        None, allow_none=True, help="What a new home begins with, if not /etc/skel.", config=True
    )
    concurrent_starts = Integer(
        None,
        allow_none=True,
        help="How many servers start at a time; None for two for each processor.",
        config=True,
    )

    start_timeout: Any
    isolation = Dict(
        value_trait=Bool(),
        key_trait=Unicode(),
        help="What keeps this server from others and the machine, by the settings' names.",
        config=True,
    )

    # Ports of servers that are being started: two of them must not be given the same.
    _ports_of_starts: ClassVar[set[int]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Each named server has a unit of its own; the template of the base class knows only the
        # user, so a second server would replace the first.
        self.unit_name = unit_name(account_name(self.user.name), self.name)
        if self.accounts == "existing":
            self.username_template = "{LOGIN}"
        self._turn: Turn | None = None
        self._stage = ""
        self._timeout_s = int(self.start_timeout)
        self.start_timeout = self._timeout_s + LONGEST_QUEUE_S

    def _expand_user_vars(self, string: str) -> str:
        try:
            account = account_name(self.user.name)
        except ValueError:
            account = ""
        return (
            string.replace("{USERNAME}", account)
            .replace("{LOGIN}", self.user.name)
            .replace("{USERID}", str(self.user.id))
        )

    def _account(self) -> Account:
        login = self.user.name
        groups = {group for group, members in self.user_groups.items() if login in members}
        is_own = self.accounts == "managed"
        return Account(
            name=account_name(login) if is_own else login,
            login=login,
            is_admin=self.user.admin,
            extra_groups=tuple(sorted(groups | set(self.default_groups))),
            home_root=Path(self.home_root),
            skeleton=Path(self.skeleton) if self.skeleton else None,
            may_create=is_own,
        )

    @property
    def queue(self) -> StartQueue:
        return start_queue(self.concurrent_starts)

    async def start(self) -> tuple[str, int]:
        self._turn = Turn()
        self._stage = ""
        try:
            async with self.queue.take(self._turn):
                return await self._start_in_turn()
        except Closed:
            raise put_off(
                f"{self.hub.base_url}spawn/{self.user.escaped_name}/{self.name}"
            ) from None
        finally:
            self._turn = None

    async def _start_in_turn(self) -> tuple[str, int]:
        self._stage = "Looking after your account"
        await self._ensure_account()
        self._stage = "Starting your server"
        self.disable_user_sudo = not self.user.admin
        self.port = self._free_port()
        try:
            # First: what is left of an earlier server takes along the directory of its environment.
            await transient.clear(self.unit_name)
            unit = self._unit(self._limits())
            await self._keep_apart()
            await Start(unit, self._own_url, self._timeout_s).run()
            # Again: rules that were loaded anew meanwhile did not see the server yet.
            await self._keep_apart()
        finally:
            self._ports_of_starts.discard(self.port)
        return (self.ip or "127.0.0.1", self.port)

    async def _ensure_account(self) -> None:
        account = self._account()
        try:
            is_new = await asyncio.to_thread(account_of_server, RealHost(), account)
        except TljhError as error:
            self.log.error("no account for %s: %s", account.login, error)
            reason = error.findings[0].what
            raise web.HTTPError(500, f"Your server cannot start: {reason}.") from error
        if is_new:
            await asyncio.to_thread(_tell_plugins, account.name)

    async def _keep_apart(self) -> None:
        """Have the machine's rules know whose the port of this server is."""
        if not self.isolation.get("network") or self.dynamic_users:
            return
        account = self._account().name
        try:
            problem = await asyncio.to_thread(network.admit, RealHost(), account, self.port)
        except (TljhError, OSError) as error:
            problem = str(error)
        if problem:
            self.log.warning("ports of %s are not kept apart: %s", account, problem)

    async def stop(self, now: bool = False) -> None:
        await super().stop(now)
        if self.isolation.get("network") and self.server and not self.dynamic_users:
            account, port = self._account().name, self.server.port
            with contextlib.suppress(TljhError, OSError):
                await asyncio.to_thread(network.dismiss, RealHost(), account, port)

    def _free_port(self) -> int:
        while (port := int(random_port())) in self._ports_of_starts:
            pass
        self._ports_of_starts.add(port)
        return port

    @property
    def _own_url(self) -> str:
        scheme = "https" if self.internal_ssl else "http"
        return f"{scheme}://{self.ip or '127.0.0.1'}:{self.port}{self.server.base_url}api"

    def _limits(self) -> ServerLimits:
        """What this server may take, and what it is told of that: it shows it to its user."""
        host = RealHost()
        data = host.read(applied_directory(paths_from_environment()) / LIMITS_FILE)
        groups = [group.name for group in self.user.groups]
        found = parse(data, machine_size(host)).of(self.user.name, groups)
        # A drop-in, a plugin or a hook has the last word.
        return found.with_traits(self.mem_limit, self.mem_guarantee, self.cpu_limit)

    def _unit(self, limits: ServerLimits) -> TransientUnit:
        """The unit of this server as systemd shall run it."""
        environment = {**self.get_env(), **limits.as_environment()}
        properties: dict[str, str | list[str]] = {
            # When memory ends a kernel goes, not the server around it.
            "OOMPolicy": "continue",
            "RuntimeDirectory": self.unit_name,
            "RuntimeDirectoryMode": "700",
            "RuntimeDirectoryPreserve": "restart",
            **limits.as_properties(),
        }
        uid, gid, directory = self._identity(environment, properties)
        if limits.disk_bytes is not None and uid is not None:
            # As root, and no reason to fail: reload and status tell where quotas aren't counted.
            properties["ExecStartPre"] = (
                f"-+{sys.executable} -I -m tljh.host.quota {uid} {limits.disk_bytes} {directory}"
            )
        if self.extra_paths:
            more = [self._expand_user_vars(path) for path in self.extra_paths]
            environment["PATH"] = ":".join([*more, environment.get("PATH") or "/usr/bin:/bin"])
        environment["SHELL"] = self.default_shell
        properties |= self._isolation()
        for name, value in self.unit_extra_properties.items():
            properties[name] = (
                self._expand_user_vars(value)
                if isinstance(value, str)
                else [self._expand_user_vars(one) for one in value]
            )
        runtime = str(properties["RuntimeDirectory"]).split()[0]
        properties["EnvironmentFile"] = make_environment_file(
            f"/run/{runtime}", self.unit_name, environment
        )
        argv = [self._expand_user_vars(part) for part in (*self.cmd, *self.get_args())]
        return TransientUnit(
            self.unit_name, argv, properties, directory, self.slice or None, uid, gid
        )

    def _identity(
        self, environment: dict[str, str], properties: dict[str, str | list[str]]
    ) -> tuple[int | None, int | None, str]:
        """Whom the server runs as, and where it begins."""
        if self.dynamic_users:
            name = self._expand_user_vars("{USERNAME}")
            properties |= {"DynamicUser": "yes", "StateDirectory": name}
            environment["HOME"] = f"/var/lib/{name}"
            return None, None, environment["HOME"]
        entry = pwd.getpwnam(self._expand_user_vars(self.username_template))
        directory = self.user_workingdir
        return (
            entry.pw_uid,
            entry.pw_gid,
            entry.pw_dir if directory is None else self._expand_user_vars(directory),
        )

    def _isolation(self) -> dict[str, str | list[str]]:
        """What SystemdSpawner's own traits keep a server from."""
        found: dict[str, str | list[str]] = {
            **unit_properties(
                self.isolation,
                is_admin=not self.disable_user_sudo,
                prefix=paths_from_environment().prefix,
            )
        }
        for is_on, name in (
            (self.isolate_tmp, "PrivateTmp"),
            (self.isolate_devices, "PrivateDevices"),
            (self.disable_user_sudo, "NoNewPrivileges"),
        ):
            if is_on:
                found[name] = "yes"
        for paths, name in (
            (self.readonly_paths, "ReadOnlyPaths"),
            (self.readwrite_paths, "ReadWritePaths"),
        ):
            if paths is not None:
                ours = found.get(name, [])
                more = [self._expand_user_vars(path) for path in paths]
                found[name] = [*([ours] if isinstance(ours, str) else ours), *more]
        return found

    async def poll(self) -> int | None:
        # Waiting for its turn counts as being alive: to stop it is to take it out of the queue.
        if self._turn is not None and self.queue.ahead_of(self._turn) is not None:
            return None
        found: int | None = await super().poll()
        return found

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What the page of a starting server shows, each time that it changes."""
        shown: str | None = None
        while self._turn is not None or shown is None:
            ahead = self.queue.ahead_of(self._turn) if self._turn is not None else None
            message, percent = self._stage or "Your server is about to start", 30
            if ahead is not None:
                message, percent = _place_in_queue(ahead), 10
            elif self._stage.startswith("Starting"):
                percent = 60
            if message != shown:
                shown = message
                yield {"progress": percent, "message": message}
            await asyncio.sleep(PROGRESS_EVERY_S)


def _place_in_queue(ahead: int) -> str:
    if ahead == 0:
        return "Many servers start right now: yours is the next"
    return f"Many servers start right now: {ahead} ahead of you"


def _tell_plugins(account: str) -> None:
    from tljh.plugins.manager import call, installed_plugins

    call(installed_plugins(), "tljh_new_user_create", username=account)
