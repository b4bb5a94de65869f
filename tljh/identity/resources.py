"""Resources of the machine's identity: its record, and the unit for the first boot of a copy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Directory, File, Symlink
from tljh.engine.resource import Resource
from tljh.identity.facts import IdentityFacts
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit

if TYPE_CHECKING:
    from tljh.settings.root import Config

FIRST_BOOT_UNIT = "tljh-first-boot.service"


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return the record, which stays as it was first written, and the unit."""
    identity = facts.of(IdentityFacts)
    unit = paths.units_dir / FIRST_BOOT_UNIT
    text = render_unit(
        FIRST_BOOT_UNIT, marker=paths.generalized, hub=paths.hub, prefix=paths.prefix
    )
    started_units = paths.units_dir / "multi-user.target.wants"
    return [
        File(paths.identity, identity.recorded or identity.current, mode=0o600),
        File(unit, text),
        Directory(started_units, 0o755),
        Symlink(started_units / FIRST_BOOT_UNIT, str(unit)),
    ]
