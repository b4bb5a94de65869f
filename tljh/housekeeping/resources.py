"""Resources of housekeeping: the limit of the journal, and timers for caches and the history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tljh.base.paths import Paths
from tljh.engine.facts import Facts
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.resource import Resource
from tljh.plugins.manager import Contributions
from tljh.systemd.templates import render_unit
from tljh.systemd.unit_resource import ForeignUnit, TriggerUnit

if TYPE_CHECKING:
    from tljh.settings.root import Config

JOURNAL_UNIT = "systemd-journald.service"
HEADER = "# Written by tljh from the setting housekeeping.journal.\n"
SERVICE, TIMER = "tljh-clean.service", "tljh-clean.timer"
# Two, because walking large homes takes longer than the time between two samples.
HISTORY_UNITS = (
    ("tljh-history.service", "tljh-history.timer"),
    ("tljh-homes.service", "tljh-homes.timer"),
)


def resources(
    config: Config, facts: Facts, paths: Paths, plugins: Contributions
) -> Sequence[Resource]:
    """Return what the settings ask for; what they do not name stays as the machine has it."""
    settings = config.housekeeping
    return [
        *_build_journal(settings.journal, paths),
        *_build_timer(settings.clean, paths),
        *_build_history(settings.history, paths),
    ]


def _build_journal(limit: str | None, paths: Paths) -> list[Resource]:
    path = paths.journal_limit
    if limit is None:
        gone = Absent(path)
        return [gone, ForeignUnit(JOURNAL_UNIT, gone)]
    file = File(path, f"{HEADER}[Journal]\nSystemMaxUse={limit}\n".encode())
    # journald reads its configuration when it starts; systemd keeps its connections.
    return [Directory(path.parent, 0o755), file, ForeignUnit(JOURNAL_UNIT, file)]


def _build_timer(schedule: str, paths: Paths) -> list[Resource]:
    service, timer = paths.units_dir / SERVICE, paths.units_dir / TIMER
    if schedule == "never":
        return [TriggerUnit(TIMER, is_wanted=False), Absent(timer), Absent(service)]
    files = (
        File(service, render_unit(SERVICE, hub=paths.hub, prefix=paths.prefix)),
        File(timer, render_unit(TIMER, schedule=schedule)),
    )
    return [*files, TriggerUnit(TIMER, restart_on=files)]


def _build_history(days: int, paths: Paths) -> list[Resource]:
    resources: list[Resource] = []
    for service, timer in HISTORY_UNITS:
        service_path, timer_path = paths.units_dir / service, paths.units_dir / timer
        if days == 0:
            resources += [
                TriggerUnit(timer, is_wanted=False),
                Absent(timer_path),
                Absent(service_path),
            ]
            continue
        text = render_unit(service, hub=paths.hub, prefix=paths.prefix, days=days)
        files = (File(service_path, text), File(timer_path, render_unit(timer)))
        resources += [*files, TriggerUnit(timer, restart_on=files)]
    return resources if days else [*resources, Absent(paths.usage_history)]
