"""Find out whether the hub environment must be rebuilt, and have the bootstrap build a new one.

There is one builder: the bootstrap. Each environment has a copy of the bootstrap that built it,
which builds the next one. Nothing refers to a new environment until the hub's link is changed, so
a build affects nothing that runs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tljh.base.errors import Finding, TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.host.interface import Host, HostReader
from tljh.settings.database_address import PACKAGES, get_driver_packages
from tljh.settings.package_variables import read_package_variables

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Includes downloads on a slow connection.
BUILD_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class EnvironmentRebuild:
    """The difference between the current environment and what the configuration asks for.

    `specs` holds the packages of the configuration alone. Plugins ask for more, but the plugins
    of the new environment may differ from the current ones, so the builder asks those.
    """

    specs: tuple[str, ...]
    added: tuple[str, ...]
    removed: tuple[str, ...]

    def __str__(self) -> str:
        parts = [f"with {', '.join(self.added)}"] if self.added else []
        parts += [f"without {', '.join(self.removed)}"] if self.removed else []
        return f"the hub environment is rebuilt {' and '.join(parts)}"


def find_rebuild(
    host: HostReader, paths: Paths, config: Config, from_plugins: Sequence[str]
) -> EnvironmentRebuild | None:
    """Return how the packages of the hub environment must change; None if they need not.

    Admins and plugins ask for packages. Returns None, too, if the environment has no stamp (a
    developer's own).
    """
    stamp = host.read(paths.hub_files.stamp)
    if stamp is None:
        return None
    built_with: dict[str, Any] = json.loads(stamp)["wanted"]
    before = set(built_with["specs"])
    # A database that moves is read with the driver that it has until then.
    own = {*list_configured_packages(config), *(before & set(PACKAGES.values()))}
    specs = {*own, *from_plugins}
    if specs == before:
        return None
    return EnvironmentRebuild(
        tuple(sorted(own)), tuple(sorted(specs - before)), tuple(sorted(before - specs))
    )


def find_hub_python(host: HostReader, paths: Paths) -> str | None:
    """Return the real path of the Python that the current environment was built on."""
    link = host.readlink(paths.hub)
    stamp = host.read(HubEnvironmentFiles(paths.prefix / link).stamp) if link else None
    # The builder writes three words: path, tag of the byte code, architecture.
    return str(json.loads(stamp)["wanted"]["python"]).rsplit(" ", 2)[0] if stamp else None


def list_configured_packages(config: Config) -> list[str]:
    """Return the packages that config.yaml lists, and those that its settings need."""
    from tljh.certificates.dns_providers import get_plugin_packages

    return [
        *config.plugins.packages,
        *config.hub.packages,
        *get_plugin_packages(config),
        *get_driver_packages(config),
    ]


def build(host: Host, paths: Paths, rebuild: EnvironmentRebuild, progress: Progress) -> Path:
    """Have the bootstrap build the environment; return its path.

    Raises TljhError with the bootstrap's findings; the current environment stays as it is.
    """
    variables = read_package_variables(host, paths)
    files = paths.hub_files
    order = {"prefix": str(paths.prefix), "specs": list(rebuild.specs), "env": variables}
    with progress.step(str(rebuild)):
        result = host.run(
            [str(files.python), str(files.bootstrap), "--build-hub-environment"],
            timeout_s=BUILD_TIMEOUT_S,
            stdin=json.dumps(order),
        )
    try:
        answer = json.loads(result.out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        raise TljhError(
            "the hub environment could not be built", why=(result.err or result.out)[-2000:]
        ) from None
    if "errors" in answer:
        raise TljhError([Finding.from_json(item) for item in answer["errors"]])
    return Path(answer["environment"])
