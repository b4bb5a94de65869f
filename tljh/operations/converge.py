"""Bring a machine to its desired state: the path that every command that changes it takes.

Install, reload and rollback differ only in where the configuration comes from.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.apply import Occasion, apply, recover, started_early
from tljh.engine.facts import Facts, mode_of, parent_directories
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.interface import Host, HostReader
from tljh.operations.desired import desired, in_order
from tljh.operations.examined_config import load_for_change
from tljh.operations.facts import admins_directories, files_below, files_of, read_facts, with_files
from tljh.operations.hub_environment import Rebuild, build, rebuild_needed
from tljh.operations.installed_config import config_lock, current_configuration
from tljh.plugins.manager import Contributions, contributions, contributions_of

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 20.0
HEALTH_DEADLINE_S = 60.0

Adjust = Callable[
    [Sequence[Resource], "Config", Facts, Contributions],
    Sequence[Resource],
]


def unchanged(data: bytes) -> bytes:
    return data


def as_planned(
    resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
) -> Sequence[Resource]:
    return resources


@dataclass(frozen=True)
class Request:
    """One change, and why.

    `configuration` returns the new config.yaml, given the current one; `adjust` returns the
    resources to apply, given those that the parts declare. `files`, of a state of the history,
    replace the admins' drop-ins.
    """

    command: str
    configuration: Callable[[bytes], bytes] = unchanged
    files: Mapping[str, bytes] | None = None
    hub_environment: Path | None = None
    adjust: Adjust = as_planned
    health_deadline_s: float = HEALTH_DEADLINE_S


@dataclass(frozen=True)
class Outcome:
    """The result: the plan, and the number of the history entry if anything changed.

    `resources` is everything that the machine is asked to have. `previous_files` are the files of
    admins before the change; if they were never applied and the change replaced them, `kept` is
    the number of the history entry that has them. `warnings` come from rehearsals.
    """

    plan: Plan
    config: Config
    config_bytes: bytes
    facts: Facts
    resources: Sequence[Resource]
    previous_files: Mapping[str, bytes]
    number: int | None = None
    kept: int | None = None
    rebuild: Rebuild | None = None
    warnings: tuple[Finding, ...] = ()


def caller_name() -> str:
    """Return the name of the user behind sudo, for the history."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"


def work_out(host: HostReader, paths: Paths, request: Request) -> Outcome:
    """Read, validate and plan, without a change. Raises TljhError with every finding."""
    # Read config.yaml only once: an edit between two reads would look like our own change
    # and be overwritten.
    if request.files is None:
        current = current_configuration(host, paths)
    else:
        current = host.read(paths.config_file) or b""
    config_bytes = request.configuration(current)
    config = load_for_change(host, paths, config_bytes, request.hub_environment)
    facts = read_facts(host, config, paths, request.hub_environment, config_bytes)
    previous_files = files_of(facts, current)
    restored: Sequence[Resource] = ()
    if request.files is not None:
        restored = restored_files(request.files, facts, paths)
        facts = with_files(facts, request.files)
    # After a rebuild the plugins of the new environment are asked, not those of this process.
    environment = request.hub_environment
    plugins = contributions_of(host, environment) if environment else contributions()
    declared = desired(config, facts, paths, plugins, writes_configuration=config_bytes != current)
    resources = in_order([*request.adjust(declared, config, facts, plugins), *restored])
    worked_out = plan(resources, host)
    rebuild = None
    if request.hub_environment is None:
        rebuild = rebuild_needed(host, paths, config, plugins.hub_pip_packages)
    if rebuild:
        worked_out = replace(worked_out, notes=(*worked_out.notes, str(rebuild)))
    return Outcome(
        worked_out, config, config_bytes, facts, resources, previous_files, rebuild=rebuild
    )


def converge(host: Host, paths: Paths, request: Request, progress: Progress) -> Outcome:
    """Apply the request, or roll back and raise. The caller holds no lock."""
    journal = Journal(paths.journal_dir)
    with contextlib.ExitStack() as held:
        held.enter_context(host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S))
        edits = config_lock(host, paths)
        recover(host, journal, progress, edits)
        if request.configuration is not unchanged and host.info(edits.parent):
            # This change writes config.yaml: an edit that the admin makes meanwhile must wait.
            held.enter_context(host.lock(edits, timeout_s=LOCK_TIMEOUT_S))
        outcome = work_out(host, paths, request)
        if outcome.rebuild:
            environment = build(host, paths, outcome.rebuild, progress)
            outcome = work_out(host, paths, replace(request, hub_environment=environment))
        planned = held.enter_context(started_early(outcome.plan, host, progress))
        warnings = rehearse(host, outcome, progress)
        files = files_of(outcome.facts, outcome.config_bytes)
        # A rollback replaces the admins' files. If no state has them, an edit would be lost, so
        # they become a state, too.
        is_replaced = request.files is not None and outcome.previous_files != files
        is_new = is_replaced and outcome.previous_files != journal.last_files(host)
        unapplied = outcome.previous_files if is_new else None
        number = apply(
            planned,
            host,
            journal,
            Occasion(caller_name(), request.command, files, unapplied),
            progress=progress,
            health=lambda: wait_until_healthy(host, outcome, request.health_deadline_s),
        )
    kept = number - 1 if number and unapplied else None
    return replace(outcome, number=number, kept=kept, warnings=tuple(warnings))


def wait_until_healthy(host: HostReader, outcome: Outcome, deadline_s: float) -> None:
    """Return once every resource works. Raises TljhError for one that does not in time.

    All resources are asked, not only the changed ones: an unchanged hub may fail with a new proxy.
    """
    for resource in outcome.resources:
        resource.healthy(host, deadline_s)


def rehearse(host: Host, outcome: Outcome, progress: Progress) -> list[Finding]:
    """Try the planned changes on copies, before anything on the machine changes; return warnings.

    Raises TljhError for a change that would fail.
    """
    changed = outcome.plan.changed
    return [
        finding
        for resource in outcome.resources
        for finding in resource.rehearse(host, changed, progress)
    ]


def restored_files(files: Mapping[str, bytes], facts: Facts, paths: Paths) -> list[Resource]:
    """Return resources that restore a state's drop-ins, and remove the ones added since."""
    resources: list[Resource] = []
    for directory in admins_directories():
        path, contents = directory.path(paths), files_below(files, directory.name)
        resources += [Directory(path / name, 0o700) for name in parent_directories(contents)]
        resources += [
            File(path / name, data, mode=mode_of(data), is_admins=True)
            for name, data in contents.items()
        ]
        resources += [
            Absent(path / name, is_admins=True)
            for name in facts.files_in(directory)
            if name not in contents
        ]
    return resources
