"""The configuration of the hub that is installed here, checked against its own classes."""

from __future__ import annotations

from pathlib import Path
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.files import edit_lock
from tljh.base.paths import Paths
from tljh.engine.journal import Journal
from tljh.host.interface import HostReader
from tljh.settings.config_file import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tljh.settings.declaration import Problem
    from tljh.settings.root import Config


def installed_file(config_path: FilePath | None = None) -> ConfigFile:
    """The installation's configuration file, or another one held to the same rules."""
    import os

    from tljh.base.paths import paths_from_environment

    paths = paths_from_environment()
    if config_path is None and os.geteuid() == 0 and not paths.config_file.exists():
        from tljh.host.real import RealReader
        from tljh.operations.installed_config import standing_configuration

        # Raises where there was a file; before a first installation there is none.
        standing_configuration(RealReader(), paths)
    return ConfigFile(
        config_path or paths.config_file, catalogue=paths.traits, file_problems=_file_problems
    )


def _file_problems(config: Config, host: HostReader) -> Iterator[Problem]:
    # Imported at the first edit: `show` and `get` do without.
    from tljh.operations.referenced_files import referenced_file_problems

    return referenced_file_problems(config, host)


def configuration_bytes(host: HostReader, paths: Paths) -> bytes:
    """config.yaml as it stands. Raises TljhError where nothing is installed."""
    if host.readlink(paths.hub) is None:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            fix="install one: sudo python3 bootstrap.py --admin NAME",
        )
    return standing_configuration(host, paths)


def standing_configuration(host: HostReader, paths: Paths) -> bytes:
    """config.yaml as it stands; empty before there was any. Raises TljhError where it is gone.

    An empty one means defaults, and those let nobody in: lost is not the same.
    """
    data = host.read(paths.config_file)
    if data is not None:
        return data
    states = Journal(paths.journal_dir).numbers(host)
    if not states:
        return b""
    raise TljhError(
        f"{paths.config_file} is missing",
        why="the hub goes on as it was last applied; without the file nobody would be let in",
        fix=f"bring back what was applied last: sudo tljh-config rollback {states[-1]}",
    )


def config_place(host: HostReader, paths: Paths) -> Path:
    """Where config.yaml lies: behind the link, where somebody keeps it elsewhere."""
    place = paths.config_file
    # Links that go round in a circle are told by whoever reads the file.
    for _ in range(40):
        target = host.readlink(place)
        if target is None:
            break
        place = place.parent / target
    return place


def config_lock(host: HostReader, paths: Paths) -> Path:
    """Held by whoever edits config.yaml."""
    return edit_lock(config_place(host, paths))


def load_configuration(
    host: HostReader, paths: Paths, data: bytes, environment: Path | None = None
) -> Config:
    """`data` as settings. Raises TljhError with every finding.

    `environment` is the hub environment whose classes count; without it, the one in use.
    """
    from tljh.settings.load import load
    from tljh.settings.trait_catalogue import Catalogue, place

    classes = host.read(place(environment or paths.hub))
    return load(
        data,
        path=str(paths.config_file),
        catalogue=Catalogue.parse(classes) if classes else None,
    )
