"""Bring a machine to its desired state: the path that every command that changes it takes.

Install, reload and rollback differ only in where the configuration comes from.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover, start_slow_steps
from tljh.engine.facts import Facts, choose_mode, find_parent_directories
from tljh.engine.file_resources import Absent, Directory, File
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.hidden_files import hide_files
from tljh.host.interface import Host, HostReader
from tljh.operations.changed_settings import compute_machine_defaults, find_changed_settings
from tljh.operations.desired import build_desired, sort_resources
from tljh.operations.examined_config import load_for_change
from tljh.operations.facts import (
    collect_files,
    list_admins_directories,
    read_facts,
    replace_files,
    select_files,
)
from tljh.operations.hub_environment import EnvironmentRebuild, build, find_rebuild
from tljh.operations.installation import reach_packages
from tljh.operations.installed_config import get_config_lock, read_current_configuration
from tljh.operations.login_changes import find_login_change, read_access
from tljh.operations.plugin_contributions import (
    ask_plugins,
    build_plugin_resources,
    list_removed_drop_ins,
)
from tljh.operations.plugin_events import call_event, refuse_failed
from tljh.operations.plugin_packages import find_left_out_packages, name_failed_packages
from tljh.operations.plugin_trials import find_missing_required, select_plugins
from tljh.operations.release_change import (
    ReleaseChange,
    add_release_resources,
    describe_migration,
    find_release_change,
)
from tljh.plugins.manager import Contributions, PluginFailure, read_contributions
from tljh.plugins.selection import PluginsFailed
from tljh.settings.migrations import migrate_configuration, migrate_settings
from tljh.settings.package_variables import read_planned_variables

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 20.0
HEALTH_DEADLINE_S = 60.0

Adjust = Callable[
    [Sequence[Resource], "Config", Facts, Contributions],
    Sequence[Resource],
]


def keep_unchanged(data: bytes) -> bytes:
    return data


def rebuild_as_planned(
    resources: Sequence[Resource], config: Config, facts: Facts, plugins: Contributions
) -> Sequence[Resource]:
    return resources


@dataclass(frozen=True)
class Request:
    """One change, and why.

    `configuration` returns the new config.yaml, given the current one; `adjust` returns the
    resources to apply, given those that the parts declare. `files`, of a state of the history,
    replace the admins' drop-ins. `database` is a copy that replaces the hub's database, in a
    rollback to the release before. Secrets in the files `renewed` are replaced by new ones.
    `failed_plugins` are left out: they failed in a trial. `mistakes` of plugins, and `notes` for
    the admin, are known after `configuration` was called.
    """

    command: str
    configuration: Callable[[bytes], bytes] = keep_unchanged
    files: Mapping[str, bytes] | None = None
    hub_environment: Path | None = None
    database: Path | None = None
    adjust: Adjust = rebuild_as_planned
    renewed: frozenset[Path] = frozenset()
    health_deadline_s: float = HEALTH_DEADLINE_S
    failed_plugins: Mapping[str, Finding] = field(default_factory=dict)
    mistakes: Sequence[Finding] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """The result: the plan, and the number of the history entry if anything changed.

    `resources` is everything that the machine is asked to have. `previous_files` are the files of
    admins before the change; if they were never applied and the change replaced them, `kept` is
    the number of the history entry that has them. `warnings` come from rehearsals, `release_notes`
    say what another release changes.
    """

    plan: Plan
    config: Config
    config_bytes: bytes
    facts: Facts
    resources: Sequence[Resource]
    previous_files: Mapping[str, bytes]
    number: int | None = None
    kept: int | None = None
    rebuild: EnvironmentRebuild | None = None
    warnings: tuple[Finding, ...] = ()
    release_notes: tuple[str, ...] = ()
    release: ReleaseChange | None = None


def work_out(host: HostReader, paths: Paths, request: Request) -> Outcome:
    """Read config.yaml and the machine, and plan the request; change nothing.

    Raises TljhError with every finding.
    """
    # Read config.yaml only once: an edit between two reads would look like our own change
    # and be overwritten.
    if request.files is None:
        current = read_current_configuration(host, paths)
    else:
        current = host.read(paths.config_file) or b""
    config_bytes = request.configuration(current)
    config = load_for_change(host, paths, config_bytes, request.hub_environment)
    reader = hide_files(host, request.renewed)
    facts = read_facts(reader, config, paths, request.hub_environment, config_bytes)
    previous_files = collect_files(facts, current)
    facts = _leave_out_drop_ins(
        facts, paths, list_removed_drop_ins(host, paths, facts.hub_environment)
    )
    restored: Sequence[Resource] = ()
    if request.files is not None:
        restored = list_restored_files(request.files, facts, paths)
        facts = replace_files(facts, request.files)
    # After a rebuild the plugins of the new environment are asked, not those of this process.
    plugins = read_contributions(host, request.hub_environment or Path(sys.prefix))
    plugins = select_plugins(host, paths, config, facts, plugins, request.failed_plugins)
    answers = ask_plugins(host, paths, config, facts, plugins)
    plugins = answers.contributions
    declared = build_desired(
        config, facts, paths, plugins, writes_configuration=config_bytes != current
    )
    of_plugins = build_plugin_resources(host, paths, config, facts, answers, declared)
    declared += of_plugins.resources
    adjusted = request.adjust(declared, config, facts, plugins)
    variables = read_planned_variables(host, paths, config.user_environment, os.environ)
    adjusted = reach_packages(adjusted, variables)
    release = find_release_change(host, paths, request.hub_environment)
    if release is not None:
        adjusted = add_release_resources(
            adjusted,
            release,
            config,
            facts,
            host=host,
            paths=paths,
            restored_database=request.database,
        )
    resources = sort_resources([*adjusted, *restored])
    worked_out = plan(resources, host)
    release_notes = tuple(request.notes)
    if release is not None:
        migrated = migrate_settings(current.decode(errors="replace"))
        release_notes = (*release_notes, *release.describe(), *describe_migration(migrated))
    rebuild = None
    if request.hub_environment is None:
        rebuild = find_rebuild(host, paths, config, plugins.hub_pip_packages)
    if rebuild:
        worked_out = replace(worked_out, notes=(*worked_out.notes, str(rebuild)))
    elif missing := find_missing_required(config, plugins):
        raise TljhError(missing)
    applied = Journal(paths.journal_dir).last_files(host) or {}
    # A setting that this release renamed has not changed its value.
    applied_config = migrate_configuration(applied.get("config.yaml", b""))
    settings = find_changed_settings(
        applied_config,
        config_bytes,
        compute_machine_defaults(facts),
    )
    logins = tuple(find_login_change(applied_config if applied else None, config, facts))
    if release is not None and not logins:
        release_notes = (*release_notes, f"who may log in stays: {read_access(config)}")
    plugin_notes = (finding.as_note() for finding in plugins.left_out.values())
    notes = (*release_notes, *worked_out.notes, *logins, *plugin_notes, *of_plugins.notes)
    worked_out = replace(worked_out, settings=settings, notes=notes)
    return Outcome(
        worked_out,
        config,
        config_bytes,
        facts,
        resources,
        previous_files,
        rebuild=rebuild,
        warnings=(
            *find_left_out_packages(host, paths, facts.hub_environment, config_bytes),
            *plugins.left_out.values(),
            *plugins.warnings,
            *of_plugins.warnings,
            *request.mistakes,
        ),
        release_notes=release_notes,
        release=release,
    )


def converge(host: Host, paths: Paths, request: Request, progress: Progress) -> Outcome:
    """Plan and apply a request. On failure, roll back and raise TljhError.

    Takes the lock of an apply; the caller must not hold it.
    """
    journal = Journal(paths.journal_dir, paths.manifest)
    with contextlib.ExitStack() as open_contexts:
        open_contexts.enter_context(host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S))
        edits = get_config_lock(host, paths)
        recover(host, journal, progress, edits)
        if request.configuration is not keep_unchanged and host.info(edits.parent):
            # This change writes config.yaml: an edit that the admin makes meanwhile must wait.
            open_contexts.enter_context(host.lock(edits, timeout_s=LOCK_TIMEOUT_S))
        outcome = work_out(host, paths, request)
        if outcome.rebuild:
            try:
                environment = build(host, paths, outcome.rebuild, progress)
            except TljhError as error:
                raise name_failed_packages(error, outcome.config_bytes, paths) from error
            request = replace(request, hub_environment=environment)
            outcome = work_out(host, paths, request)
        for line in outcome.release_notes:
            progress.note(line)
        trial = open_contexts.enter_context(contextlib.ExitStack())
        planned = trial.enter_context(start_slow_steps(outcome.plan, host, progress))
        try:
            warnings = rehearse(host, outcome, progress)
        except PluginsFailed as error:
            # The hub goes on without them: plan again, and try that.
            trial.close()
            outcome = work_out(host, paths, replace(request, failed_plugins=error.failures))
            planned = trial.enter_context(start_slow_steps(outcome.plan, host, progress))
            warnings = rehearse(host, outcome, progress)
        if outcome.release is not None:
            failures = _call_upgrade_hooks(host, paths, "tljh_before_upgrade", outcome.release)
            refuse_failed(failures, outcome.config.plugins.required)
            warnings += [failure.finding for failure in failures]
        files = collect_files(outcome.facts, outcome.config_bytes)
        # A rollback replaces the admins' files. If no state has them, an edit would be lost, so
        # they become a state, too.
        is_replaced = request.files is not None and outcome.previous_files != files
        is_new = is_replaced and outcome.previous_files != journal.last_files(host)
        unapplied = outcome.previous_files if is_new else None
        number = apply(
            planned,
            host,
            journal,
            ChangeContext(get_caller_name(), request.command, files, unapplied),
            progress=progress,
            health=lambda: wait_until_healthy(host, outcome, request.health_deadline_s),
        )
        if outcome.release is not None:
            failures = _call_upgrade_hooks(host, paths, "tljh_after_upgrade", outcome.release)
            warnings += [failure.finding for failure in failures]
    kept = number - 1 if number and unapplied else None
    warnings = [*outcome.warnings, *warnings]
    return replace(outcome, number=number, kept=kept, warnings=tuple(warnings))


def _leave_out_drop_ins(facts: Facts, paths: Paths, removed: Set[Path]) -> Facts:
    """Return the facts without drop-ins that are removed with the plugin that wrote them."""
    if not removed:
        return facts
    files = {
        directory.name: {
            name: data
            for name, data in facts.files_in(directory).items()
            if directory.path(paths) / name not in removed
        }
        for directory in list_admins_directories()
    }
    return replace(facts, admins_files=files)


def _call_upgrade_hooks(
    host: HostReader, paths: Paths, hook: str, release: ReleaseChange
) -> list[PluginFailure]:
    """Call the plugins' hooks around an upgrade, those of the environment that is current then."""
    versions = {"old_version": release.old.version, "new_version": release.new.version}
    return call_event(host, paths, hook, versions)


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


def list_restored_files(files: Mapping[str, bytes], facts: Facts, paths: Paths) -> list[Resource]:
    """Return resources that give the admins' directories the files of an earlier state.

    Files that were added since are removed.
    """
    resources: list[Resource] = []
    for directory in list_admins_directories():
        path, contents = directory.path(paths), select_files(files, directory.name)
        resources += [Directory(path / name, 0o700) for name in find_parent_directories(contents)]
        resources += [
            File(path / name, data, mode=choose_mode(data), is_admins=True)
            for name, data in contents.items()
        ]
        resources += [
            Absent(path / name, is_admins=True)
            for name in facts.files_in(directory)
            if name not in contents
        ]
    return resources
