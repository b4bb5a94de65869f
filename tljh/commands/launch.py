"""`tljh launch token`: what an application needs to start servers of temporary users."""

from __future__ import annotations

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import PrintedToken
from tljh.host.real import RealHost
from tljh.host.secret_files import read_token
from tljh.hub.health import get_local_url
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.settings.derived import get_api_url, uses_internal_ssl


def token() -> PrintedToken:
    """Print the token with which an application makes temporary users, and nothing else."""
    host, paths = RealHost(), get_paths()
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    value = read_token(host, paths.launcher_token)
    if not config.launch.enabled or value is None:
        raise TljhError(
            "no application may make temporary users",
            why="launch.enabled is false" if not config.launch.enabled else "it is not applied yet",
            fix="sudo tljh-config set launch.enabled true && sudo tljh-config reload",
        )
    # With internal_ssl the hub's own port needs a certificate, and the proxy needs none.
    url = f"{get_local_url(config)}hub/api" if uses_internal_ssl(config) else None
    return PrintedToken(value, url or get_api_url(config.base_url))
