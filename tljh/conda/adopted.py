"""The user environment of The Littlest JupyterHub, which a takeover keeps as it is.

In it pip has replaced packages of conda, and conda itself is one of its packages. So nothing is
solved or added by itself: what is missing is shown, with the command for it.
"""

from __future__ import annotations

from pathlib import Path

from tljh.base.paths import Paths
from tljh.conda.environment_files import MARK, make_environment_files
from tljh.conda.pip_plugin import PipPlugin
from tljh.host.interface import HostReader
from tljh.host.littlest import read_littlest_version


def is_adopted(host: HostReader, paths: Paths) -> bool:
    """Return whether the user environment came with a takeover, or comes with the planned one."""
    if host.info(paths.littlest) is not None:
        return True
    return read_littlest_version(host, paths.hub) is not None


def list_files_in_environment(host: HostReader, paths: Paths) -> list[Path]:
    """Return the files of tljh in the user environment, which TLJH does not need."""
    written = [
        file.path for file in make_environment_files(paths) if MARK in (host.read(file.path) or b"")
    ]
    return [*written, *PipPlugin(paths, ()).list_files(host)]
