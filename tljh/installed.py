"""The configuration of the hub that is installed here, checked against its own classes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tljh.errors import TljhError
from tljh.host.base import HostReader
from tljh.paths import Paths

if TYPE_CHECKING:
    from tljh.config import Config


def configuration_bytes(host: HostReader, paths: Paths) -> bytes:
    """config.yaml as it stands. Raises TljhError where nothing is installed."""
    if host.readlink(paths.hub) is None:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            fix="install one: sudo python3 bootstrap.py --admin NAME",
        )
    return host.read(paths.config_file) or b""


def load_configuration(
    host: HostReader, paths: Paths, data: bytes, environment: Path | None = None
) -> Config:
    """`data` as settings. Raises TljhError with every finding.

    `environment` is the hub environment whose classes count; without it, the one in use.
    """
    from tljh.config import load
    from tljh.hub.catalogue import place
    from tljh.hub.traits import Catalogue

    classes = host.read(place(environment or paths.hub))
    return load(
        data,
        path=str(paths.config_file),
        catalogue=Catalogue.parse(classes) if classes else None,
    )
