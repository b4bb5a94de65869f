"""`tljh monitoring token`: what Prometheus needs to read the hub's metrics."""

from __future__ import annotations

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.commands.parameters import PrintedToken
from tljh.host.real import RealHost
from tljh.host.secret_files import read_token
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.public_address import find_public_url


def token() -> PrintedToken:
    """Print the token with which Prometheus reads the metrics, and nothing else."""
    host, paths = RealHost(), get_paths()
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    value = read_token(host, paths.metrics_token)
    if value is None:
        raise TljhError("there is no token for metrics yet", fix="sudo tljh-config reload")
    return PrintedToken(value, f"{find_public_url(config, host)}hub/metrics")
