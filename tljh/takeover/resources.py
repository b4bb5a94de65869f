"""The steps of a takeover from The Littlest JupyterHub (TLJH), each with its rollback."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.account_names import is_acceptable
from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress, format_count
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT, TRAEFIK_GROUP
from tljh.engine.file_resources import Symlink, read_image
from tljh.engine.resource import Difference, Record, Resource, Stage
from tljh.host.accounts import MARK, make_mark
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import copy_database
from tljh.systemd.unit_resource import Unit, act, reload_systemd
from tljh.takeover.routes import convert_routes

if TYPE_CHECKING:
    from tljh.takeover.littlest import Littlest

COMMAND_TIMEOUT_S = 30
PROXY_NOTICE = "nobody reaches the hub or a server for half a second"


def add_takeover_resources(
    resources: Sequence[Resource], littlest: Littlest, paths: Paths
) -> list[Resource]:
    """Return the resources of an installation with the steps of a takeover at their places."""
    steps: list[Resource] = [
        KeptInstallation(paths, littlest.version),
        MarkedAccounts(littlest.accounts),
    ]
    for resource in resources:
        if isinstance(resource, Symlink) and resource.path == paths.hub:
            steps.append(HubLinkTaken(resource.path, resource.target, paths.littlest_hub))
            continue
        if isinstance(resource, Unit) and resource.unit == PROXY_UNIT:
            # Right before it: until our Traefik starts, nobody reaches anything.
            steps.append(SeededRoutes(paths))
            resource = replace(resource, notice=PROXY_NOTICE)
        steps.append(resource)
    return steps


@dataclass(frozen=True)
class KeptInstallation(Resource):
    """Copies of what a takeover changes, from which `tljh uninstall --back-to-tljh` restores."""

    paths: Paths
    version: str

    kind: ClassVar[str] = "littlest-kept"
    stage: ClassVar[Stage] = Stage.PREPARE

    @property
    def name(self) -> str:
        return str(self.paths.littlest)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("+", f"what The Littlest JupyterHub {self.version} has, for the way back")

    def before(self, host: HostReader) -> Record:
        return {"path": str(self.paths.littlest)}

    def apply(self, host: Host, progress: Progress) -> None:
        host.mkdir(self.paths.littlest, mode=0o700)
        if host.info(self.paths.hub_database):
            copy_database(self.paths.hub_database, self.paths.littlest_database)
        units = {name: host.unit(name).is_enabled for name in (HUB_UNIT, PROXY_UNIT)}
        kept = {
            "version": self.version,
            "enabled": units,
            "images": [read_image(host, path) for path in list_changed_paths(host, self.paths)],
        }
        data = json.dumps(kept, indent=1).encode() + b"\n"
        host.write(self.paths.littlest_files, data, mode=0o600)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        host.remove(Path(record["path"]))


def list_changed_paths(host: HostReader, paths: Paths) -> list[Path]:
    """Return the files of TLJH that a takeover changes, or that tljh may change later."""
    return [
        paths.units_dir / HUB_UNIT,
        paths.units_dir / PROXY_UNIT,
        paths.sudoers,
        *(paths.commands_dir / name for name in ("tljh", "tljh-config")),
        paths.config_file,
        paths.api_secret,
        paths.cookie_secret,
        paths.traefik_acme,
        *(paths.rules_dir / name for name in host.listdir(paths.rules_dir)),
    ]


@dataclass(frozen=True)
class HubLinkTaken(Symlink):
    """The link to the hub environment, at the place of TLJH's environment, which moves away."""

    moved_to: Path

    kind: ClassVar[str] = "littlest-hub"
    # Its hub runs from the directory, and loads pages from there, until it restarts.
    stage: ClassVar[Stage] = Stage.SERVICES

    @property
    def key(self) -> str:
        return f"{Symlink.kind} {self.name}"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", f"-> {self.target}; The Littlest JupyterHub's is {self.moved_to}")

    def before(self, host: HostReader) -> Record:
        return {"path": str(self.path), "moved_to": str(self.moved_to)}

    def apply(self, host: Host, progress: Progress) -> None:
        info = host.info(self.path)
        if info is not None and info.kind == "directory":
            host.rename(self.path, self.moved_to)
        host.symlink(self.path, self.target)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path, moved_to = Path(record["path"]), Path(record["moved_to"])
        if host.info(moved_to) is None:
            return
        if host.info(path) is not None:
            host.remove(path)
        host.rename(moved_to, path)


@dataclass(frozen=True)
class MarkedAccounts(Resource):
    """Accounts of TLJH's users, with our mark: the login name to which each belongs."""

    accounts: tuple[tuple[str, str], ...]

    kind: ClassVar[str] = "littlest-accounts"
    stage: ClassVar[Stage] = Stage.PREPARE

    @property
    def name(self) -> str:
        return "of The Littlest JupyterHub"

    def difference(self, host: HostReader) -> Difference | None:
        count = len(self._unmarked(host))
        if not count:
            return None
        return Difference("~", f"{format_count(count, 'account')} with the login name as comment")

    def _unmarked(self, host: HostReader) -> dict[str, str]:
        """Return the new comment of each account that has none of ours, by account."""
        unmarked = {}
        for login, name in self.accounts:
            user = host.user(name)
            if user is not None and not user.comment.startswith(MARK):
                unmarked[name] = make_mark(login)
        return unmarked

    def before(self, host: HostReader) -> Record:
        users = {name: host.user(name) for name in self._unmarked(host)}
        return {"comments": {name: user.comment for name, user in users.items() if user}}

    def apply(self, host: Host, progress: Progress) -> None:
        for name, comment in self._unmarked(host).items():
            _set_comment(host, name, comment)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        for name, comment in record["comments"].items():
            if host.user(name) is not None:
                _set_comment(host, name, comment)


def _set_comment(host: Host, account: str, comment: str) -> None:
    done = host.run(["usermod", "--comment", comment, account], timeout_s=COMMAND_TIMEOUT_S)
    if not done.ok:
        raise TljhError(f"the account {account} could not be changed", why=done.err.strip())


@dataclass(frozen=True)
class SeededRoutes(Resource):
    """Routes to running servers for our Traefik, and the end of TLJH's, which would drain for 10 s.

    Until the hub has started and written its routes, those of TLJH's hub hold.
    """

    paths: Paths

    kind: ClassVar[str] = "littlest-routes"
    stage: ClassVar[Stage] = Stage.SERVICES

    @property
    def name(self) -> str:
        return str(self.paths.traefik_routes_file)

    def difference(self, host: HostReader) -> Difference | None:
        return Difference(
            "~", "running servers stay reachable; the proxy is away for half a second"
        )

    def before(self, host: HostReader) -> Record:
        return read_image(host, self.paths.traefik_routes_file)

    def apply(self, host: Host, progress: Progress) -> None:
        routes = host.read(self.paths.rules_dir / "rules.toml")
        if routes:
            host.write(
                self.paths.traefik_routes_file,
                convert_routes(routes),
                mode=0o640,
                group=TRAEFIK_GROUP,
            )
        # If systemd starts it again by itself, it does so with our unit file.
        reload_systemd(host)
        host.systemctl("kill", "--signal=KILL", PROXY_UNIT)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        path = Path(record["path"])
        if "kind" not in record and host.info(path) is not None:
            host.remove(path)

    @classmethod
    def settle(cls, host: Host, record: Record) -> None:
        reload_systemd(host)
        if not host.unit(PROXY_UNIT).is_active:
            act(host, "start", PROXY_UNIT)


def find_refused_logins(littlest: Littlest) -> list[str]:
    """Return the names in TLJH's database that cannot have an account of ours."""
    return sorted(login for login in littlest.logins if not is_acceptable(login))
