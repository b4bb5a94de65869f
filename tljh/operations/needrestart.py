"""What needrestart is told, which Ubuntu's servers have: whose restart would lose people's work.

It restarts what still uses a library that an upgrade replaced, by night as well
(unattended-upgrades). The hub may be restarted so: requests wait for it. Somebody's server
would lose its kernels, and the proxy its connections.
"""

from __future__ import annotations

from pathlib import Path

from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource

# Read after the package's own settings; there before the package is, it is found later.
DIRECTORY = Path("/etc/needrestart/conf.d")


SETTINGS = r"""# Written by tljh: an upgrade of a library ends nobody's work.
# Servers have the new one from their next start on.
$nrconf{override_rc}->{qr(^jupyter-.+\.service$)} = 0;
$nrconf{override_rc}->{qr(^traefik\.service$)} = 0;
1;
"""


def needrestart_resources() -> list[Resource]:
    """The settings, and the directories that they lie in."""
    directories: list[Resource] = [Directory(one, 0o755) for one in (DIRECTORY.parent, DIRECTORY)]
    return [*directories, File(DIRECTORY / "tljh.conf", SETTINGS.encode())]
