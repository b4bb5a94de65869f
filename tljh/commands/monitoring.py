"""`tljh monitoring token`: what Prometheus needs to read the hub's metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tljh.base.errors import TljhError
from tljh.base.paths import get_paths
from tljh.host.real import RealHost
from tljh.host.secret_files import read_token
from tljh.operations.installed_config import load_configuration, read_installed_configuration
from tljh.operations.public_address import find_public_url


@dataclass(frozen=True)
class MonitoringToken:
    """The token, and the address of the metrics."""

    token: str
    url: str

    def as_text(self) -> str:
        return self.token

    def as_json(self) -> dict[str, Any]:
        return {"token": self.token, "url": self.url}


def token() -> MonitoringToken:
    """Print the token with which Prometheus reads the metrics, and nothing else."""
    host, paths = RealHost(), get_paths()
    config = load_configuration(host, paths, read_installed_configuration(host, paths))
    value = read_token(host, paths.metrics_token)
    if value is None:
        raise TljhError("there is no token for metrics yet", fix="sudo tljh-config reload")
    return MonitoringToken(value, f"{find_public_url(config, host)}hub/metrics")
