"""config.yaml of the installed hub: reading, editing, and checking it against installed classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.files import edit_lock
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths, get_paths
from tljh.settings.config_file import ConfigFile

if TYPE_CHECKING:
    from tljh.host.interface import Host, HostReader
    from tljh.settings.declaration import KeyPath, Problem
    from tljh.settings.root import Config
    from tljh.settings.validation import ExaminedFile


def open_installed_file(config_path: Path | None = None) -> ConfigFile:
    """Return config.yaml of the installation, or another file checked by the same rules."""
    import os

    paths = get_paths()
    if config_path is None and os.geteuid() == 0 and not paths.config_file.exists():
        from tljh.host.real import RealReader

        # Raises if the file was lost; before a first installation there is none.
        read_current_configuration(RealReader(), paths)
    return ConfigFile(
        config_path or paths.config_file,
        catalogue=paths.hub_files,
        file_problems=find_machine_problems,
    )


def find_machine_problems(config: Config, host: HostReader) -> Iterator[Problem]:
    """Yield problems of settings on this machine: files, limits above its size, extensions."""
    # Imported at the first edit: `show` and `get` do not need it.
    from tljh.home_snapshots.problems import find_snapshot_problems
    from tljh.operations.jupyter_problems import find_jupyter_problems
    from tljh.operations.oversized_limits import find_oversized_limits
    from tljh.operations.referenced_files import find_referenced_file_problems
    from tljh.services.programs import find_program_problems

    yield from find_referenced_file_problems(config, host)
    yield from find_oversized_limits(config, host)
    yield from find_snapshot_problems(config, host)
    yield from find_jupyter_problems(config, host)
    yield from find_program_problems(config, host, get_paths())


def edit_configuration(
    host: Host,
    paths: Paths,
    edit: Callable[[str], str],
    *,
    key_path: KeyPath,
) -> Callable[[bytes], bytes]:
    """Wrap an edit of config.yaml's text, for `Request.configuration`.

    The result raises TljhError if the edit adds a mistake; `key_path` is the setting that is
    edited.
    """
    file = ConfigFile(
        paths.config_file, catalogue=paths.hub_files, host=host, file_problems=find_machine_problems
    )

    def configuration(data: bytes) -> bytes:
        changed = file.apply(edit, data, key_path=key_path)
        return changed.after.encode() if changed.is_change else data

    return configuration


def read_installed_configuration(host: HostReader, paths: Paths) -> bytes:
    """Return the current config.yaml. Raises TljhError if no hub is installed."""
    if host.readlink(paths.hub) is None:
        raise TljhError(
            f"there is no hub installed at {paths.prefix}",
            fix="install one: sudo python3 bootstrap.py --admin NAME",
        )
    return read_current_configuration(host, paths)


def read_current_configuration(host: HostReader, paths: Paths) -> bytes:
    """Return the current config.yaml; empty before the first installation.

    Raises TljhError if the file is missing although the history has states: an empty file would
    mean defaults, by which no user may log in.
    """
    data = host.read(paths.config_file)
    if data is not None:
        return data
    # Imported here: `show` and `set` need no journal.
    from tljh.engine.journal import Journal

    states = Journal(paths.journal_dir).numbers(host)
    if not states:
        return b""
    raise TljhError(
        f"{paths.config_file} is missing",
        why="the hub runs with the configuration that was applied last; with the defaults "
        "of an empty file no user could log in",
        fix=f"restore the file that was applied last: sudo tljh-config rollback {states[-1]}",
    )


def resolve_config_file(host: HostReader, paths: Paths) -> Path:
    """Return the path of config.yaml with symbolic links followed; admins may keep it elsewhere."""
    place = paths.config_file
    # A circle of links ends after 40 steps, as in the kernel; reading the file reports it.
    for _ in range(40):
        target = host.readlink(place)
        if target is None:
            break
        place = place.parent / target
    return place


def get_config_lock(host: HostReader, paths: Paths) -> Path:
    """Return the path of the lock that every writer of config.yaml holds."""
    return edit_lock(resolve_config_file(host, paths))


def load_configuration(
    host: HostReader, paths: Paths, data: bytes, environment: Path | None = None
) -> Config:
    """Parse and check the content of config.yaml. Raises TljhError with every finding.

    Class sections are checked against the classes of `environment`; by default, of the current
    hub environment.
    """
    examined = examine_configuration(host, paths, data, environment)
    findings = examined.findings("error", "incomplete")
    if findings:
        raise TljhError(findings)
    return examined.config


def examine_configuration(
    host: HostReader, paths: Paths, data: bytes, environment: Path | None = None
) -> ExaminedFile[Config]:
    """Return the content of config.yaml as settings, with every problem of the settings."""
    from tljh.settings.load import examine
    from tljh.settings.plugin_sections import extend_config
    from tljh.settings.trait_catalogue import Catalogue

    files = HubEnvironmentFiles(environment or find_hub_environment(host, paths))
    classes, stamp = host.read(files.traits), host.read(files.stamp)
    return examine(
        data,
        path=str(paths.config_file),
        catalogue=Catalogue.parse(classes, stamp) if classes else None,
        model=extend_config(host.read(files.contributions) or b""),
    )


def find_hub_environment(host: HostReader, paths: Paths) -> Path:
    """Return the directory of the current hub environment."""
    link = host.readlink(paths.hub)
    return paths.prefix / link if link else paths.hub
