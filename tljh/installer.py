"""TLJH's name for the installer: `sudo /opt/tljh/hub/bin/python3 -m tljh.installer --admin NAME`.

Runs the bootstrap that built this hub environment, with the same options.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tljh.base.errors import Exit, Finding
from tljh.base.path_groups import HubEnvironmentFiles
from tljh.base.paths import get_paths


def main() -> int:
    """Run the bootstrap in place of this process; return an exit code where there is none."""
    bootstrap = HubEnvironmentFiles(Path(sys.prefix)).bootstrap
    if not bootstrap.is_file():
        finding = Finding(
            f"there is no installer in {sys.prefix}",
            why="tljh was not installed by its bootstrap",
            fix="sudo python3 bootstrap.py --admin NAME",
        )
        print(finding.as_text(), file=sys.stderr)
        return int(Exit.FAILED)
    environ = {**os.environ, "TLJH_INSTALL_PREFIX": str(get_paths().prefix)}
    return os.execve(sys.executable, [sys.executable, str(bootstrap), *sys.argv[1:]], environ)


if __name__ == "__main__":
    sys.exit(main())
