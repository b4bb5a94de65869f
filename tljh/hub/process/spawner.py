"""The spawner: each server is a systemd unit with its user's Linux account and limits."""

from __future__ import annotations

import asyncio
import contextlib
import grp
import pwd
import re
import sys
from collections.abc import AsyncIterator, Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any, ClassVar

from jupyterhub.utils import maybe_future, random_port
from systemdspawner import SystemdSpawner
from systemdspawner.systemd import ensure_environment_directory, make_environment_file
from traitlets import Bool, Dict, Enum, Integer, List, Unicode

from tljh.base.account_names import PREFIX, make_unit_name
from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.certificates.internal_authorities import LOOPBACK_NAMES, name_server
from tljh.conda.named_environments import format_jupyter_path
from tljh.host import transient_units as transient
from tljh.host.accounts import Account, find_account_name, read_home_marker
from tljh.host.real import RealHost
from tljh.host.transient_units import TransientUnit
from tljh.host.unit_journal import write_unit_lines
from tljh.hub.process.internal_tls import write_server_pair
from tljh.hub.process.load_config import choose_applied_files
from tljh.hub.process.new_user_hooks import call_pending_hooks, ensure_marked_account
from tljh.hub.process.server_start import ServerFailed, ServerStart, retry_after_restart
from tljh.hub.process.start_queue import QueueClosed, QueuePlace, StartQueue
from tljh.hub.process.starting_hooks import call_starting_hooks
from tljh.hub.process.temporary_users import is_temporary
from tljh.machine_logins.new_account import close_new_account
from tljh.singleuser import network_isolation as network
from tljh.singleuser.limits import (
    ServerLimits,
    choose_concurrent_starts,
    parse_policy,
    read_machine_size,
)
from tljh.singleuser.presets import format_config_path
from tljh.singleuser.sandbox import build_gpu_properties, build_unit_properties

# JupyterHub's start_timeout includes the time in the queue, tljh's does not. So JupyterHub's is
# made longer by this, and tljh applies its own once the start has its turn.
LONGEST_QUEUE_S = 3600


PROGRESS_EVERY_S = 0.5

# In the place of an account, for a login name in the database that cannot have one.
NO_ACCOUNT = f"{PREFIX}no-account"


@cache
def start_queue(configured: int | None) -> StartQueue:
    """Return the hub's only queue; its width is `configured`, or follows from the machine."""
    return StartQueue(choose_concurrent_starts(configured, read_machine_size(RealHost())))


class UserCreatingSpawner(SystemdSpawner):
    """A SystemdSpawner that first makes the user's account, outside the hub's event loop."""

    user_groups = Dict(
        value_trait=List(Unicode()),
        key_trait=Unicode(),
        help="Members of extra Linux groups: group to login names.",
        config=True,
    )

    default_groups = List(Unicode(), help="Linux groups that all users join.", config=True)
    accounts = Enum(
        ("managed", "existing"),
        "managed",
        help="Whether accounts are made, or the machine's own are used.",
        config=True,
    )
    home_root = Unicode("/home", help="The directory of new accounts' homes.", config=True)
    skeleton = Unicode(
        None,
        allow_none=True,
        help="The directory that is copied to a new home; None for /etc/skel.",
        config=True,
    )
    concurrent_starts = Integer(
        None,
        allow_none=True,
        help="The number of servers that start at a time; None for two for each processor.",
        config=True,
    )

    start_timeout: Any
    isolation = Dict(
        value_trait=Bool(),
        key_trait=Unicode(),
        help="Isolation of this server, by the names of the settings in `isolation`.",
        config=True,
    )

    gpu_groups = List(
        Unicode(),
        help="Groups whose members may use the machine's GPUs; without any, all users may.",
        config=True,
    )

    temporary_token_in_url = Bool(
        False,
        help="Whether servers of temporary users accept a token in their address.",
        config=True,
    )

    # A free port is free until its server listens. So ports of starts in progress are kept here,
    # or two starts could get the same one.
    _ports_of_starts: ClassVar[set[int]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # SystemdSpawner's template of unit names has the user only, so a second, named server
        # would replace the first. Each named server gets its own unit.
        self.unit_name = self._own_unit_name()
        if self.accounts == "existing":
            self.username_template = "{LOGIN}"
        self._turn: QueuePlace | None = None
        self._stage = ""
        self._timeout_s = int(self.start_timeout)
        self.start_timeout = self._timeout_s + LONGEST_QUEUE_S

    def _expand_user_vars(self, string: str) -> str:
        account = self._account_name() or ""
        return expand(
            # TLJH's own template: its {USERNAME} is the login name.
            string.replace(f"{PREFIX}{{USERNAME}}", "{USERNAME}"),
            {"USERNAME": account, "LOGIN": self.user.name, "USERID": str(self.user.id)},
        )

    def _own_unit_name(self) -> str:
        return make_unit_name(self._account_name() or NO_ACCOUNT, self.name)

    def _account_name(self) -> str | None:
        """Return the account's name; None for a login name that cannot have one."""
        return find_account_name(RealHost(), self.user.name)

    def _account(self) -> Account:
        login = self.user.name
        groups = {group for group, members in self.user_groups.items() if login in members}
        is_own = self.accounts == "managed"
        return Account(
            name=self._account_name() or NO_ACCOUNT if is_own else login,
            login=login,
            is_admin=self.user.admin,
            extra_groups=tuple(sorted(groups | set(self.default_groups))),
            home_root=Path(self.home_root),
            skeleton=Path(self.skeleton) if self.skeleton else None,
            may_create=is_own,
            home_marker=read_home_marker(RealHost(), get_paths()) if is_own else None,
        )

    async def run_pre_spawn_hook(self) -> None:
        """Run the admin's hook, after the user's account was made: the hook may look it up."""
        if not self.pre_spawn_hook:
            return
        try:
            await self._ensure_account()
            await maybe_future(super().run_pre_spawn_hook())
        except Exception as error:
            self._log_failure(error)
            raise

    def _log_failure(self, error: Exception) -> None:
        """Write why a start failed to the log of the unit, where `tljh logs --user` finds it."""
        text = f"pre_spawn_hook failed: {type(error).__name__}: {error}"
        if isinstance(error, ServerFailed):
            # A unit that ran has written its last lines itself, but not what they mean.
            text = f"{error.message}\n{'' if error.has_run else error.lines}"
        write_unit_lines(self.unit_name, text)

    @property
    def queue(self) -> StartQueue:
        return start_queue(self.concurrent_starts)

    async def start(self) -> tuple[str, int]:
        self._turn = QueuePlace()
        self._stage = ""
        try:
            async with self.queue.take(self._turn):
                return await self._start_in_turn()
        except ServerFailed as failure:
            self._log_failure(failure)
            raise
        except QueueClosed:
            raise retry_after_restart(
                f"{self.hub.base_url}spawn/{self.user.escaped_name}/{self.name}"
            ) from None
        finally:
            self._turn = None

    async def _start_in_turn(self) -> tuple[str, int]:
        self._stage = "Preparing your account"
        await self._ensure_account()
        await self._let_plugins_change()
        self._stage = "Starting your server"
        self.disable_user_sudo = not self.user.admin
        self.port = self._free_port()
        try:
            # First: when systemd removes a leftover unit, it deletes the runtime directory, where
            # `_unit` writes the environment of the new server.
            # The state of a server that ran during a takeover has another name.
            self.unit_name = self._own_unit_name()
            await transient.clear(self.unit_name)
            unit = self._unit(self._limits())
            await self._isolate_port()
            await ServerStart(unit, self._own_url, self._timeout_s).run()
            # Again: if all rules were reloaded during the start, the port is not in them.
            await self._isolate_port()
        finally:
            self._ports_of_starts.discard(self.port)
        return (self.ip or "127.0.0.1", self.port)

    async def _ensure_account(self) -> None:
        account = self._account()
        if account.name == NO_ACCOUNT:
            raise ServerFailed(
                "Your server cannot start: your login name cannot have an account.",
                f"the login name {account.login!r} has characters that tljh does not accept",
            )
        try:
            if await asyncio.to_thread(ensure_marked_account, RealHost(), account):
                await self._close_new_account(account)
            for finding in await asyncio.to_thread(call_pending_hooks, RealHost(), account):
                self.log.warning("account of %s: %s", account.login, finding.as_note())
        except TljhError as error:
            self.log.error("no account for %s: %s", account.login, error)
            reason = error.findings[0]
            raise ServerFailed(
                f"Your server cannot start: {reason.what}.", reason.why or ""
            ) from error

    async def _let_plugins_change(self) -> None:
        try:
            findings = await asyncio.to_thread(call_starting_hooks, self)
        except TljhError as error:
            self.log.error("no server for %s: %s", self.user.name, error)
            raise ServerFailed(
                f"Your server cannot start: {error.findings[0].what}.", ""
            ) from error
        for finding in findings:
            self.log.warning("server of %s: %s", self.user.name, finding.as_note())

    async def _close_new_account(self, account: Account) -> None:
        if account.is_admin or not account.may_create:
            return
        paths = get_paths()
        try:
            await asyncio.to_thread(
                close_new_account, RealHost(), account.name, self._limits(), paths
            )
        except (TljhError, OSError) as error:
            # SSH, user managers and polkit are closed by the account's groups in any case.
            self.log.warning("cron, at and sessions of %s are not limited: %s", account.name, error)

    async def _isolate_port(self) -> None:
        """Add this server's port to the firewall rules that close it to other accounts."""
        if not self.isolation.get("network") or self.dynamic_users:
            return
        account = self._account().name
        try:
            problem = await asyncio.to_thread(network.admit, RealHost(), account, self.port)
        except (TljhError, OSError) as error:
            problem = str(error)
        # A server without the rule is better than no server; `tljh status` reports the problem.
        if problem:
            self.log.warning("the ports of %s are not isolated: %s", account, problem)

    async def stop(self, now: bool = False) -> None:
        await super().stop(now)
        if self.isolation.get("network") and self.server and not self.dynamic_users:
            account, port = self._account().name, self.server.port
            with contextlib.suppress(TljhError, OSError):
                await asyncio.to_thread(network.forget_server, RealHost(), account, port)

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
        """Return the user's limits from the applied file, overridden by the spawner's traits."""
        host = RealHost()
        paths = get_paths()
        data = host.read(choose_applied_files(paths).limits)
        groups = [group.name for group in self.user.groups]
        limits = parse_policy(data, read_machine_size(host)).of(self.user.name, groups)
        # Traits come from drop-ins, plugins and pre-spawn hooks, which are more specific.
        return limits.with_traits(self.mem_limit, self.mem_guarantee, self.cpu_limit)

    def _unit(self, limits: ServerLimits) -> TransientUnit:
        """Return the systemd unit of this server, and write its file of environment variables."""
        environment = {**self.get_env(), **limits.as_environment()}
        if self.temporary_token_in_url and is_temporary(self.user.name):
            environment["JUPYTERHUB_ALLOW_TOKEN_IN_URL"] = "1"
        properties: dict[str, str | list[str]] = {
            # Out of memory, the kernel ends the process that uses most: a notebook's, not the
            # server. By default systemd would then stop the whole unit.
            "OOMPolicy": "continue",
            "RuntimeDirectory": self.unit_name,
            "RuntimeDirectoryMode": "700",
            "RuntimeDirectoryPreserve": "restart",
            **limits.as_properties(),
        }
        uid, gid, directory = self._identity(environment, properties)
        if limits.disk_bytes is not None and uid is not None:
            # `+`: as root. `-`: a failure does not stop the start, because `tljh status` reports
            # file systems without quotas.
            properties["ExecStartPre"] = (
                f"-+{sys.executable} -I -m tljh.host.quota {uid} {limits.disk_bytes} {directory}"
            )
        if self.extra_paths:
            extra_paths = [self._expand_user_vars(path) for path in self.extra_paths]
            path = environment.get("PATH") or "/usr/bin:/bin"
            environment["PATH"] = ":".join([*extra_paths, path])
        environment["SHELL"] = self.default_shell
        environment["JUPYTER_PATH"] = format_jupyter_path(
            get_paths(), self._list_groups(), environment.get("JUPYTER_PATH", "")
        )
        environment["JUPYTER_CONFIG_PATH"] = format_config_path(
            get_paths(), self._list_groups(), environment.get("JUPYTER_CONFIG_PATH", "")
        )
        properties |= self._isolation()
        for name, value in self.unit_extra_properties.items():
            properties[name] = (
                self._expand_user_vars(value)
                if isinstance(value, str)
                else [self._expand_user_vars(item) for item in value]
            )
        runtime = Path("/run") / str(properties["RuntimeDirectory"]).split()[0]
        if self.internal_ssl:
            ensure_environment_directory(str(runtime))
            # systemd gives the directory to dynamic users, when these have a number.
            owner = ("root", "root")
            if uid is not None and gid is not None:
                owner = pwd.getpwuid(uid).pw_name, grp.getgrgid(gid).gr_name
            store = get_paths().internal_ssl
            environment |= write_server_pair(RealHost(), store, runtime, self._list_names(), owner)
        properties["EnvironmentFile"] = make_environment_file(
            str(runtime), self.unit_name, environment
        )
        argv = [self._expand_user_vars(part) for part in (*self.cmd, *self.get_args())]
        return TransientUnit(
            self.unit_name, argv, properties, directory, self.slice or None, uid, gid
        )

    def _list_names(self) -> list[str]:
        """Return the names in the certificate of this server."""
        more = [self.ip] if self.ip and self.ip != "0.0.0.0" else []
        return [name_server(self.user.name, self.name), *dict.fromkeys([*LOOPBACK_NAMES, *more])]

    async def create_certs(self) -> dict[str, str]:
        """Make no certificate yet: the one of a start belongs into its unit's directory."""
        return {}

    def _list_groups(self) -> set[str]:
        """Return the user's groups: those of the hub, and those of config.yaml."""
        return {group.name for group in self.user.groups} | set(self._account().extra_groups)

    def _identity(
        self, environment: dict[str, str], properties: dict[str, str | list[str]]
    ) -> tuple[int | None, int | None, str]:
        """Return uid, gid and working directory; uid and gid are None for dynamic users."""
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
        """Return the properties of the isolation settings and of SystemdSpawner's own traits."""
        is_admin = not self.disable_user_sudo
        properties: dict[str, str | list[str]] = {
            **build_unit_properties(
                self.isolation,
                is_admin=is_admin,
                prefix=get_paths().prefix,
            ),
            **({} if is_admin else build_gpu_properties(self.gpu_groups, self._list_groups())),
        }
        for is_on, name in (
            (self.isolate_tmp, "PrivateTmp"),
            (self.isolate_devices, "PrivateDevices"),
            (self.disable_user_sudo, "NoNewPrivileges"),
        ):
            if is_on:
                properties[name] = "yes"
        # Lists are added to those of the isolation settings, never put in place of them.
        for paths, name in (
            (self.readonly_paths, "ReadOnlyPaths"),
            (self.readwrite_paths, "ReadWritePaths"),
        ):
            if paths is not None:
                ours = properties.get(name, [])
                theirs = [self._expand_user_vars(path) for path in paths]
                properties[name] = [*([ours] if isinstance(ours, str) else ours), *theirs]
        return properties

    async def poll(self) -> int | None:
        # A start in the queue has no unit yet. It is reported as running, so that JupyterHub can
        # stop it, which takes it out of the queue. Otherwise it would pass for a dead server.
        if self._turn is not None and self.queue.ahead_of(self._turn) is not None:
            return None
        exit_status: int | None = await super().poll()
        return exit_status

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the messages for the page of a starting server, a new one when it changes."""
        last_message: str | None = None
        while self._turn is not None or last_message is None:
            ahead = self.queue.ahead_of(self._turn) if self._turn is not None else None
            message, percent = self._stage or "Your server is about to start", 30
            if ahead is not None:
                message, percent = _describe_queue_place(ahead), 10
            elif self._stage.startswith("Starting"):
                percent = 60
            if message != last_message:
                last_message = message
                yield {"progress": percent, "message": message}
            await asyncio.sleep(PROGRESS_EVERY_S)


def expand(text: str, values: Mapping[str, str]) -> str:
    """Replace `{NAME}` by its value, with doubled braces for literal ones, as str.format does.

    Text that is no such template, JSON for example, keeps its braces; names are still replaced.
    """
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        parts = [("", "", "", None)]
    if all(
        name is None or (name in values and not spec and not conversion)
        for _, name, spec, conversion in parts
    ):
        return "".join(
            literal + ("" if name is None else values[name]) for literal, name, _, _ in parts
        )
    # In one pass: a value may contain braces itself.
    pattern = "|".join(re.escape(f"{{{name}}}") for name in values)
    return re.sub(pattern, lambda match: values[match[0][1:-1]], text)


def _describe_queue_place(ahead: int) -> str:
    if ahead == 0:
        return "Many servers are starting: yours is next"
    return f"Many servers are starting: {ahead} ahead of you"
