"""What the hub environment shall have besides the locked packages, a requirement a line.

    <hub environment>/bin/python -m tljh.operations.hub_packages [--from-plugins]

With --from-plugins only what plugins ask for, not what the configuration names. Asked by
whoever builds the environment, from inside the one that is being built, so that plugins that
were just installed can ask for more.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.paths import Paths, paths_from_environment
from tljh.host.interface import HostReader
from tljh.host.real import RealReader
from tljh.operations.hub_environment import configured_packages
from tljh.operations.installed_config import load_configuration
from tljh.plugins.manager import contributions


def wanted_packages(host: HostReader, paths: Paths, from_plugins: Iterable[str]) -> list[str]:
    """What config.yaml asks for, and what plugins ask for."""
    data = host.read(paths.config_file)
    own: list[str] = []
    if data is not None:
        config = load_configuration(host, paths, data, Path(sys.prefix))
        own = configured_packages(config)
    return list(dict.fromkeys([*own, *from_plugins]))


def main() -> int:
    try:
        wanted = list(contributions().hub_pip_packages)
        if "--from-plugins" not in sys.argv[1:]:
            wanted = wanted_packages(RealReader(), paths_from_environment(), wanted)
    except TljhError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print("\n".join(wanted))
    return 0


if __name__ == "__main__":
    sys.exit(main())
