"""Giving a machine back to The Littlest JupyterHub (TLJH), from what its takeover kept.

Users, homes, the user environment and running servers stay. TLJH's files are restored byte for
byte; the database goes back to the schema of its JupyterHub, with everything since in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT, PROXY_UNIT
from tljh.engine.file_resources import restore_image
from tljh.engine.removals import Removal
from tljh.engine.resource import Difference, Resource
from tljh.host.interface import Host, HostReader
from tljh.host.sqlite_file import (
    copy_database,
    find_companion_files,
    read_schema,
    restore_database,
)
from tljh.systemd.unit_resource import act, reload_systemd

DOWNGRADE_TIMEOUT_S = 120

# JupyterHub's own way to change a schema, with a directory of migrations that it fills in.
DOWNGRADE = """
import sys
from jupyterhub.dbutil import _temp_alembic_ini
from sqlalchemy import create_engine
from tljh.hub.process.database_indexes import drop_indexes
import subprocess
drop_indexes(create_engine(sys.argv[1]))
with _temp_alembic_ini(sys.argv[1]) as ini:
    sys.exit(subprocess.call(["alembic", "-c", ini, "downgrade", sys.argv[2]]))
"""

# What TLJH has in state/; everything else there is ours.
STATE_NAMES = (
    "jupyterhub.sqlite",
    "jupyterhub_cookie_secret",
    "traefik-api.secret",
    "traefik.toml",
    "acme.json",
    "rules",
)


def read_kept(host: HostReader, paths: Paths) -> dict[str, Any]:
    """Return what the takeover kept. Raises TljhError where there was none."""
    data = host.read(paths.littlest_files)
    if data is None:
        raise TljhError(
            "this hub was not taken over from The Littlest JupyterHub",
            why=f"there is no {paths.littlest_files}",
            fix="to remove the hub: sudo tljh uninstall",
        )
    kept: dict[str, Any] = json.loads(data)
    return kept


def build_way_back(host: HostReader, paths: Paths) -> list[Resource]:
    """Return the steps that let TLJH run again, in order.

    Raises TljhError if the machine was not taken over.
    """
    kept = read_kept(host, paths)
    return [
        *(ReturnedFile(image) for image in kept["images"]),
        # Their order counts: this process cannot import from its environment afterwards.
        HubReturned(paths),
        StartedLittlest(tuple(name for name, is_on in kept["enabled"].items() if is_on)),
    ]


def list_own_files(host: HostReader, paths: Paths) -> list[Path]:
    """Return what is ours in the prefix of a machine that TLJH gets back, what was kept last."""
    ours = [
        paths.state_dir / name
        for name in host.listdir(paths.state_dir)
        if name not in (*STATE_NAMES, paths.littlest.name) and not name.startswith("passwords.dbm")
    ]
    launchers = [paths.launcher, paths.kernel_deaths]
    for_users = [paths.jupyter, paths.environments, paths.conda]
    directories = [paths.cache, paths.traefik_dir, paths.versions, paths.littlest]
    return [*ours, *launchers, *for_users, *directories]


@dataclass(frozen=True)
class StoppedHub(Removal):
    """Our hub, stopped: its database is about to change. Users' servers go on."""

    kind: ClassVar[str] = "hub-stopped"

    @property
    def name(self) -> str:
        return HUB_UNIT

    def difference(self, host: HostReader) -> Difference | None:
        if not host.unit(HUB_UNIT).is_active:
            return None
        return Difference("~", "stop; servers of users go on")

    def apply(self, host: Host, progress: Progress) -> None:
        act(host, "stop", HUB_UNIT)


@dataclass(frozen=True)
class DatabaseReturned(Removal):
    """The hub's database at the schema of TLJH's JupyterHub, with everything since in it."""

    paths: Paths

    kind: ClassVar[str] = "database-returned"

    @property
    def name(self) -> str:
        return str(self.paths.hub_database)

    def difference(self, host: HostReader) -> Difference | None:
        before = read_schema(self.paths.littlest_database)
        current = read_schema(self.paths.hub_database)
        if before is None or before == current:
            return None
        return Difference("~", f"schema {current} -> {before}")

    def apply(self, host: Host, progress: Progress) -> None:
        path, before = self.paths.hub_database, read_schema(self.paths.littlest_database)
        trial = self.paths.database_trial
        copy_database(path, trial)
        files = self.paths.hub_files
        done = host.run(
            [str(files.python), "-I", "-c", DOWNGRADE, f"sqlite:///{trial}", str(before)],
            timeout_s=DOWNGRADE_TIMEOUT_S,
            env={"PATH": f"{files.bin_dir}:{os.environ.get('PATH', os.defpath)}"},
        )
        if not done.ok or read_schema(trial) != before:
            for each in (trial, *find_companion_files(trial)):
                host.remove(each)
            progress.note(
                "the database could not go back to the older schema, so it is the copy from before "
                "the takeover: users and tokens since are not in it"
            )
            copy_database(self.paths.littlest_database, trial)
        restore_database(trial, path)


@dataclass(frozen=True)
class ReturnedFile(Removal):
    """A file of TLJH as it was before the takeover."""

    image: dict[str, Any]

    kind: ClassVar[str] = "file-returned"

    @property
    def name(self) -> str:
        return str(self.image["path"])

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~" if "kind" in self.image else "-", "as The Littlest JupyterHub had it")

    def apply(self, host: Host, progress: Progress) -> None:
        restore_image(host, self.image)


@dataclass(frozen=True)
class HubReturned(Removal):
    """TLJH's hub environment, at its place again."""

    paths: Paths

    kind: ClassVar[str] = "hub-returned"

    @property
    def name(self) -> str:
        return str(self.paths.hub)

    def difference(self, host: HostReader) -> Difference | None:
        if host.info(self.paths.littlest_hub) is None:
            return None
        return Difference("~", f"from {self.paths.littlest_hub}")

    def apply(self, host: Host, progress: Progress) -> None:
        if host.info(self.paths.littlest_hub) is None:
            return
        if host.readlink(self.paths.hub) is not None:
            host.remove(self.paths.hub)
        host.rename(self.paths.littlest_hub, self.paths.hub)


@dataclass(frozen=True)
class StartedLittlest(Removal):
    """TLJH's proxy and hub, started with their own files."""

    enabled: Sequence[str]

    kind: ClassVar[str] = "littlest-started"

    @property
    def name(self) -> str:
        return f"{PROXY_UNIT} {HUB_UNIT}"

    def difference(self, host: HostReader) -> Difference | None:
        return Difference("~", "start as The Littlest JupyterHub's")

    def apply(self, host: Host, progress: Progress) -> None:
        reload_systemd(host)
        for unit in self.enabled:
            act(host, "enable", unit)
        # Traefik keeps a socket of the other for long: it ends at once.
        host.systemctl("kill", "--signal=KILL", PROXY_UNIT)
        act(host, "restart", PROXY_UNIT)
        act(host, "restart", HUB_UNIT)
