"""Settings of needrestart, so that it does not restart users' servers.

Ubuntu's servers have needrestart: after an upgrade, by night as well (unattended-upgrades), it
restarts every service that still uses a replaced library. The hub may restart, because requests
wait for it. A user's server would lose its kernels, and the proxy its connections.
"""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.engine.file_resources import Directory, File
from tljh.engine.resource import Resource

SETTINGS = r"""# Written by tljh: an upgrade of a library does not restart servers and the proxy.
# They use the new library from their next start on.
$nrconf{override_rc}->{qr(^jupyter-.+\.service$)} = 0;
$nrconf{override_rc}->{qr(^traefik\.service$)} = 0;
1;
"""


def build_needrestart_resources() -> list[Resource]:
    """Return the file that keeps needrestart from restarting the hub and the servers."""
    directory = Paths.needrestart.parent
    return [
        Directory(directory.parent, 0o755),
        Directory(directory, 0o755),
        File(Paths.needrestart, SETTINGS.encode()),
    ]
