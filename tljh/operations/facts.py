"""Read the facts of all parts, and the admins' files that the history keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.engine.facts import AdminsDirectory, Facts
from tljh.host.interface import HostReader
from tljh.operations.installed_config import resolve_config_file
from tljh.operations.parts import PARTS

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Each state of the history has all files of admins, so their size is limited.
MOST_FILE_BYTES = 4 << 20
MOST_BYTES = 16 << 20
MOST_FILES = 1000
MOST_LEVELS = 16


def read_facts(
    host: HostReader,
    config: Config,
    paths: Paths,
    hub_environment: Path | None = None,
    config_bytes: bytes | None = None,
) -> Facts:
    """Read what a plan for this configuration needs to know of the machine.

    By default `hub_environment` is the target of the hub's link, and `config_bytes` the current
    config.yaml.
    """
    link = host.readlink(paths.hub)
    if config_bytes is None:
        config_bytes = host.read(paths.config_file) or b""
    parts = (part.read(host, config, paths) for part in PARTS)
    return Facts(
        hub_environment=hub_environment or (paths.prefix / link if link else paths.hub),
        config_file=resolve_config_file(host, paths),
        config_bytes=config_bytes,
        admins_files={
            directory.name: _read_files(host, directory.path(paths), directory)
            for directory in list_admins_directories()
        },
        parts=tuple(part for part in parts if part is not None),
    )


def list_admins_directories() -> list[AdminsDirectory]:
    """Return the directories of all parts in which admins keep files."""
    return [directory for part in PARTS for directory in part.admins_directories]


def collect_files(facts: Facts, config_bytes: bytes) -> dict[str, bytes]:
    """Return the files that the history keeps of a state: config.yaml and all drop-ins."""
    files = {"config.yaml": config_bytes}
    for name, contents in facts.admins_files.items():
        files |= {f"{name}/{file}": data for file, data in contents.items()}
    return files


def replace_files(facts: Facts, files: Mapping[str, bytes]) -> Facts:
    """Return `facts` with the admins' files of another state."""
    return replace(
        facts,
        admins_files={
            directory.name: select_files(files, directory.name)
            for directory in list_admins_directories()
        },
    )


def select_files(files: Mapping[str, bytes], directory: str) -> dict[str, bytes]:
    """Return the files of a state that are in the admins' directory with this name."""
    start = f"{directory}/"
    return {
        path.removeprefix(start): data for path, data in files.items() if path.startswith(start)
    }


def _read_files(host: HostReader, path: Path, directory: AdminsDirectory) -> dict[str, bytes]:
    """Read an admins' directory. Raises TljhError if it has too many files, or too large ones."""
    contents: dict[str, bytes] = {}
    size_bytes = 0
    for name in _list_names(host, path, directory):
        data = host.read(path / name, most_bytes=MOST_FILE_BYTES)
        if data is None:
            info = host.info(path / name, follow=True)
            if info is not None and info.kind == "file" and info.size_bytes > MOST_FILE_BYTES:
                raise _make_size_error(
                    path / name, f"the limit is {MOST_FILE_BYTES >> 20} MiB a file"
                )
            continue
        contents[name] = data
        size_bytes += len(data)
        if size_bytes > MOST_BYTES or len(contents) > MOST_FILES:
            limit = f"the limit is {MOST_FILES} files and {MOST_BYTES >> 20} MiB"
            raise _make_size_error(path, limit)
    return contents


def _list_names(
    host: HostReader, path: Path, directory: AdminsDirectory, below: str = ""
) -> Iterator[str]:
    """Yield the paths in an admins' directory that may be files of the admins.

    A link to a directory is not followed: it may lead to a huge tree, or into itself.
    """
    for name in host.listdir(path / below):
        if not directory.includes(name):
            continue
        info = host.info(path / below / name)
        if info is not None and info.kind == "directory":
            if directory.is_nested and below.count("/") < MOST_LEVELS:
                yield from _list_names(host, path, directory, f"{below}{name}/")
        else:
            yield f"{below}{name}"


def _make_size_error(path: Path, limit: str) -> TljhError:
    return TljhError(
        f"{path} is too large for the configuration",
        why=f"each state of the history keeps a copy of it; {limit}",
        fix="keep data in another directory, for example /srv, and name it by its whole path",
    )
