"""Facts about the hub: its secrets, and the copies of drop-ins that it loads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import AdminsDirectory
from tljh.host.interface import HostReader
from tljh.host.secret_files import read_or_make_secret
from tljh.hub.served_protocols import list_servers
from tljh.settings.database_address import (
    DatabaseAddress,
    build_sqlite_address,
    read_address,
)
from tljh.settings.derived import uses_internal_ssl
from tljh.systemd.version import read_systemd_version

if TYPE_CHECKING:
    from tljh.settings.root import Config

# All files, not only *.py: drop-ins read files next to them.
DROP_INS = AdminsDirectory("jupyterhub_config.d", lambda paths: paths.hub_drop_ins)
ADMINS_DIRECTORIES = (DROP_INS,)


@dataclass(frozen=True)
class HubFacts:
    """Secrets (new ones in memory until a plan writes them), and the applied drop-ins.

    `applied_drop_ins` are paths below their directory, of files only. `database` is where the
    hub's database is now, `environment` the hub environment that is current now.
    """

    cookie_secret: str
    token: str
    metrics_token: str
    launcher_token: str | None = None
    applied_drop_ins: tuple[str, ...] = ()
    systemd_version: int = 0
    database: DatabaseAddress | None = None
    environment: Path | None = None
    # Users with servers that speak the other protocol than the one that internal_ssl asks for.
    servers_before_switch: tuple[str, ...] = ()


def read(host: HostReader, config: Config, paths: Paths) -> HubFacts:
    """Read the hub's secrets and what was applied last."""
    return HubFacts(
        cookie_secret=read_or_make_secret(host, paths.cookie_secret),
        token=read_or_make_secret(host, paths.hub_token),
        metrics_token=read_or_make_secret(host, paths.metrics_token),
        launcher_token=(
            read_or_make_secret(host, paths.launcher_token) if config.launch.enabled else None
        ),
        applied_drop_ins=tuple(_read_files_below(host, paths.applied.drop_ins)),
        systemd_version=read_systemd_version(host),
        database=read_applied_database(host, paths),
        environment=paths.prefix / link if (link := host.readlink(paths.hub)) else None,
        servers_before_switch=tuple(
            list_servers(host, paths, "http" if uses_internal_ssl(config) else "https")
        ),
    )


def read_applied_database(host: HostReader, paths: Paths) -> DatabaseAddress | None:
    """Return where the hub's database is now; None for a hub that has none yet."""
    try:
        traits = json.loads(host.read(paths.applied.hub_file) or b"{}")
        url = traits["JupyterHub"]["db_url"]
        return read_address(url, traits.get("TljhHub", {}).get("db_password_file"))
    except (ValueError, KeyError, TypeError, AttributeError):
        # Not applied yet: a fresh machine, or one whose state was restored.
        is_there = host.info(paths.hub_database) is not None
        return build_sqlite_address(paths.hub_database) if is_there else None


def _read_files_below(host: HostReader, directory: Path, below: str = "") -> Iterator[str]:
    for name in host.listdir(directory / below):
        info = host.info(directory / below / name)
        if info is not None and info.kind == "directory":
            yield from _read_files_below(host, directory, f"{below}{name}/")
        else:
            yield f"{below}{name}"
