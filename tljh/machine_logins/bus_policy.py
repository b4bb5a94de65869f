"""The rule of the system's message bus (D-Bus) that hides other users' units from users.

systemd itself answers anybody who asks with the processes of a unit and their command lines,
however well /proc hides them: `systemctl status jupyter-ann` is enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.file_resources import Absent, File
from tljh.engine.resource import Resource
from tljh.host.accounts import USERS_GROUP

if TYPE_CHECKING:
    from tljh.settings.root import Config

# Admins are members, too: for them, `sudo systemctl` asks as root. The bus reads a changed policy
# by itself.
POLICY = f"""\
<!-- Written by tljh from the setting isolation.processes; edits are overwritten. -->
<busconfig>
  <policy group="{USERS_GROUP}">
    <deny send_destination="org.freedesktop.systemd1"/>
  </policy>
</busconfig>
"""


def build_bus_policy(config: Config) -> Resource:
    """Return the policy, or its absence where users see all processes."""
    is_hidden = config.isolation.processes and config.users.accounts == "managed"
    path = Paths.bus_policy
    return File(path, POLICY.encode()) if is_hidden else Absent(path)
