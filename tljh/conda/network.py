"""The variables that let uv and the conda engine reach what this installation reaches."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tljh.base.package_indexes import (
    environment_for_uv,
    pip_configuration_files,
    read_pip_configuration,
    sources_from,
)
from tljh.base.paths import Paths
from tljh.host.interface import HostReader

ENVIRONMENT_FILE = "environment.json"


def package_environment(
    host: HostReader, paths: Paths, environ: Mapping[str, str]
) -> dict[str, str]:
    """What was needed to install is kept, since sudo drops it; what is set now wins."""
    kept = _kept(host.read(paths.state_dir / ENVIRONMENT_FILE) or b"")
    merged = {**kept, **environ}
    configuration = read_pip_configuration(pip_configuration_files(merged))
    return {**kept, **environment_for_uv(sources_from(merged, configuration), merged), **{
        name: value for name, value in environ.items() if name == "RATTLER_CACHE_DIR"
    }}  # fmt: skip


def _kept(data: bytes) -> dict[str, str]:
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}
