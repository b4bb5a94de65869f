"""Print the packages that a hub environment needs in addition to the locked ones, one a line.

    <hub environment>/bin/python -m tljh.operations.hub_packages [--from-plugins] [--record]

With --from-plugins, only what plugins ask for, not what the configuration names. The bootstrap runs
this inside the environment that it builds: plugins that it has just installed may ask for more. It
adds --record, so that later plans read there what the plugins ask for and call no hooks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tljh.base.errors import TljhError
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import Paths, get_paths
from tljh.host.interface import HostReader
from tljh.host.real import RealHost, RealReader
from tljh.operations.hub_environment import list_configured_packages
from tljh.plugins.manager import read_contributions, record_contributions
from tljh.settings.load import load
from tljh.settings.plugin_sections import extend_config
from tljh.settings.root import Config


def list_required_packages(
    host: HostReader, paths: Paths, from_plugins: Iterable[str], model: type[Config] = Config
) -> list[str]:
    """Return the packages of config.yaml, then those of plugins, without duplicates."""
    data = host.read(paths.config_file)
    configured: list[str] = []
    if data is not None:
        # This environment lacks these packages, so classes that they bring are checked later.
        config = load(data, path=str(paths.config_file), model=model)
        configured = list_configured_packages(config)
    return list(dict.fromkeys([*configured, *from_plugins]))


def main() -> int:
    try:
        environment = Path(sys.prefix)
        if "--record" in sys.argv[1:]:
            plugins = record_contributions(RealHost(), environment)
        else:
            plugins = read_contributions(RealReader(), environment)
        packages = list(plugins.hub_pip_packages)
        if "--from-plugins" not in sys.argv[1:]:
            record = RealReader().read(HubEnvironmentFiles(environment).contributions)
            model = extend_config(record or b"")
            packages = list_required_packages(RealReader(), get_paths(), packages, model)
        for failure in plugins.failures:
            print(failure.finding.as_text("warning"), file=sys.stderr)
    except TljhError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print("\n".join(packages))
    return 0


if __name__ == "__main__":
    sys.exit(main())
