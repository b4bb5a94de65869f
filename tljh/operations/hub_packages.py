"""Print the packages that a hub environment needs in addition to the locked ones, one a line.

    <hub environment>/bin/python -m tljh.operations.hub_packages [--from-plugins]

With --from-plugins, only what plugins ask for, not what the configuration names. The bootstrap runs
this inside the environment that it builds: plugins that it has just installed may ask for more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.host.interface import HostReader
from tljh.host.real import RealReader
from tljh.operations.hub_environment import configured_packages
from tljh.plugins.manager import contributions
from tljh.settings.load import load


def required_packages(host: HostReader, paths: Paths, from_plugins: Iterable[str]) -> list[str]:
    """Return the packages of config.yaml, then those of plugins, without duplicates."""
    data = host.read(paths.config_file)
    configured: list[str] = []
    if data is not None:
        # This environment lacks these packages, so classes that they bring are checked later.
        config = load(data, path=str(paths.config_file))
        configured = configured_packages(config)
    return list(dict.fromkeys([*configured, *from_plugins]))


def main() -> int:
    try:
        packages = list(contributions().hub_pip_packages)
        if "--from-plugins" not in sys.argv[1:]:
            packages = required_packages(RealReader(), paths_from_environment(), packages)
    except TljhError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print("\n".join(packages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
