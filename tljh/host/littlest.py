"""The Littlest JupyterHub (TLJH) on a machine, recognized by its hub environment."""

from __future__ import annotations

import re
from pathlib import Path

from tljh.host.interface import HostReader

_DISTRIBUTION = re.compile(r"the_littlest_jupyterhub-(.+)\.dist-info\Z")


def read_littlest_version(host: HostReader, environment: Path) -> str | None:
    """Return the version of TLJH whose hub environment this directory is; None if it is none."""
    info = host.info(environment)
    if info is None or info.kind != "directory":
        return None
    for library in host.listdir(environment / "lib"):
        for name in host.listdir(environment / "lib" / library / "site-packages"):
            match = _DISTRIBUTION.match(name)
            if match:
                return match[1]
    return None
