"""What rebuilds the hub environment after an upgrade of the distribution.

The environment runs on the system's Python, which such an upgrade removes. The hub's process goes
on until its next start, which would fail. So apt's hook starts a unit as soon as that Python is
gone, and the hub's own unit starts it as well, for a boot.
"""

from __future__ import annotations

from tljh.base.paths import Paths
from tljh.engine.file_resources import File
from tljh.engine.resource import Resource
from tljh.systemd.templates import render_unit

REBUILD_UNIT = "tljh-rebuild.service"
APT_HOOK = """\
// Written by tljh: rebuilds the hub environment if its Python was removed.
DPkg::Post-Invoke {{ "[ -e {python} ] || systemctl start --no-block {unit} || true"; }};
"""


def build_rebuild_resources(paths: Paths) -> list[Resource]:
    """Return the unit that rebuilds the hub environment, and apt's hook that starts it."""
    unit = File(
        paths.units_dir / REBUILD_UNIT,
        render_unit(REBUILD_UNIT, hub=paths.hub, prefix=paths.prefix),
    )
    hook = APT_HOOK.format(python=paths.hub_files.python, unit=REBUILD_UNIT)
    return [unit, File(Paths.apt_hook, hook.encode())]
