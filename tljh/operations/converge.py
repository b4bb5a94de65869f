"""Bringing a machine to what a configuration asks for: the one path of every command.

Install, reload and rollback differ in where the configuration comes from, in nothing else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import Finding, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.base.well_known import HUB_UNIT
from tljh.engine.apply import Occasion, apply, begun, recover
from tljh.engine.file_resources import Absent, File
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.interface import Host, HostReader
from tljh.hub.database_resource import HubDatabase
from tljh.hub.health import DEADLINE_S, doors, wait_until_healthy
from tljh.operations.desired import desired
from tljh.operations.facts import Facts, read_facts
from tljh.operations.hub_environment import Rebuild, build, rebuild_needed
from tljh.operations.installed_config import config_lock, load_configuration, standing_configuration
from tljh.plugins.manager import Contributions, contributions, contributions_of
from tljh.proxy.resources import address_findings, try_traefik
from tljh.proxy.served_certificate import named_certificate, secure_door, wait_until_served

if TYPE_CHECKING:
    from tljh.settings.root import Config

LOCK_TIMEOUT_S = 20.0


Extra = Callable[["Config", Facts, Contributions], Sequence[Resource]]


def nothing_more(config: Config, facts: Facts, plugins: Contributions) -> Sequence[Resource]:
    return ()


def as_it_stands(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Request:
    """What shall come about, and why.

    `configuration` makes config.yaml of what stands there when the plan is made.
    `files`, of a state of the history, stand in for the drop-ins that are there now.
    `environments` come before the hub's link is flipped, `afterwards` once all units run.
    `removing` are people who shall be out, whether or not a list names them.
    """

    command: str
    configuration: Callable[[bytes], bytes] = as_it_stands
    files: Mapping[str, bytes] | None = None
    hub_environment: Path | None = None
    environments: Extra = nothing_more
    afterwards: Extra = nothing_more
    force: frozenset[str] = frozenset()
    removing: frozenset[str] = frozenset()
    health_deadline_s: float = DEADLINE_S


@dataclass(frozen=True)
class Outcome:
    """What came of it: the plan, and the number of the history entry if anything was done.

    `standing` is what people wrote, as it stood before; `kept` is the number of the entry that
    has it, where it was never applied and something else stands there now. `overlooked` is what
    the hub's own classes make nothing of.
    """

    plan: Plan
    config: Config
    config_bytes: bytes
    facts: Facts
    standing: Mapping[str, bytes]
    number: int | None = None
    kept: int | None = None
    rebuild: Rebuild | None = None
    overlooked: tuple[Finding, ...] = ()


def who() -> str:
    """The person behind sudo, for the history."""
    return os.environ.get("SUDO_USER") or os.environ.get("USER") or "root"


def work_out(host: HostReader, paths: Paths, request: Request) -> Outcome:
    """Read, validate and plan; changes nothing. Raises TljhError with every finding."""
    # Read once: what somebody sets between two looks would be taken for ours to write over.
    if request.files is None:
        standing = standing_configuration(host, paths)
    else:
        standing = host.read(paths.config_file) or b""
    config_bytes = request.configuration(standing)
    config = load_configuration(host, paths, config_bytes, request.hub_environment)
    facts = read_facts(host, config, paths, request.hub_environment)
    written = files_of(standing, facts, paths)
    brought_back: Sequence[Resource] = ()
    if request.files is not None:
        brought_back = files_brought_back(request.files, facts, paths)
        facts = facts_with(request.files, facts)
    # After a rebuild the plugins that count are those of the new environment.
    environment = request.hub_environment
    plugins = contributions_of(host, environment) if environment else contributions()
    resources = [
        *desired(
            config,
            None if config_bytes == standing else config_bytes,
            facts,
            paths,
            plugins,
            request.environments(config, facts, plugins),
            request.force,
            request.removing,
        ),
        *brought_back,
        *request.afterwards(config, facts, plugins),
    ]
    worked_out = plan(resources, host)
    rebuild = None
    if request.hub_environment is None:
        rebuild = rebuild_needed(host, paths, config, plugins.hub_pip_packages)
    if rebuild:
        worked_out = replace(worked_out, notes=(*worked_out.notes, str(rebuild)))
    return Outcome(worked_out, config, config_bytes, facts, written, rebuild=rebuild)


def converge(host: Host, paths: Paths, request: Request, progress: Progress) -> Outcome:
    """Bring it about, or undo and raise; the caller holds nothing."""
    journal = Journal(paths.journal_dir)
    with contextlib.ExitStack() as held:
        held.enter_context(host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S))
        edits = config_lock(host, paths)
        recover(host, journal, progress, edits)
        if request.configuration is not as_it_stands and host.info(edits.parent):
            # What somebody sets meanwhile must not be written over.
            held.enter_context(host.lock(edits, timeout_s=LOCK_TIMEOUT_S))
        outcome = work_out(host, paths, request)
        if outcome.rebuild:
            environment = build(host, paths, outcome.rebuild, progress)
            outcome = work_out(host, paths, replace(request, hub_environment=environment))
        planned = held.enter_context(begun(outcome.plan, host, progress))
        overlooked = try_candidate(host, paths, outcome, progress)
        files = files_of(outcome.config_bytes, outcome.facts, paths)
        # What is brought back stands in the place of what was written; the rest builds on it.
        is_lost = request.files is not None and outcome.standing != files
        is_new = is_lost and outcome.standing != journal.last_files(host)
        unapplied = outcome.standing if is_new else None
        number = apply(
            planned,
            host,
            journal,
            Occasion(who(), request.command, files, unapplied),
            progress=progress,
            health=lambda: wait_until_right(host, paths, outcome, request.health_deadline_s),
        )
    kept = number - 1 if number and unapplied else None
    return replace(outcome, number=number, kept=kept, overlooked=tuple(overlooked))


def wait_until_right(host: HostReader, paths: Paths, outcome: Outcome, deadline_s: float) -> None:
    """Return once the hub answers, and over HTTPS with the certificate that it was given."""
    config = outcome.config
    wait_until_healthy(host, doors(config, outcome.facts.instance), deadline_s)
    chain = named_certificate(host, paths) if config.https.enabled else None
    if chain is not None:
        wait_until_served(host, secure_door(config), chain)


def drop_in_places(facts: Facts, paths: Paths) -> dict[str, tuple[Path, Mapping[str, bytes]]]:
    """Admins' own files by the name that the history has for their directory."""
    return {
        "jupyterhub_config.d": (paths.hub_drop_ins, facts.hub_drop_ins),
        "traefik_config.d": (paths.traefik_drop_ins, facts.traefik_drop_ins),
        "rules": (paths.rules_dir, facts.rules),
    }


def files_of(config_bytes: bytes, facts: Facts, paths: Paths) -> dict[str, bytes]:
    """What the history keeps of a state: config.yaml and every drop-in."""
    files = {"config.yaml": config_bytes}
    for name, (_, found) in drop_in_places(facts, paths).items():
        files |= {f"{name}/{file}": data for file, data in found.items()}
    return files


def _of_directory(files: Mapping[str, bytes], name: str) -> dict[str, bytes]:
    start = f"{name}/"
    return {
        path.removeprefix(start): data for path, data in files.items() if path.startswith(start)
    }


def facts_with(files: Mapping[str, bytes], facts: Facts) -> Facts:
    """Facts as if the drop-ins of `files` were the ones on the machine."""
    return replace(
        facts,
        hub_drop_ins=_of_directory(files, "jupyterhub_config.d"),
        traefik_drop_ins=_of_directory(files, "traefik_config.d"),
        rules=_of_directory(files, "rules"),
    )


def files_brought_back(files: Mapping[str, bytes], facts: Facts, paths: Paths) -> list[Resource]:
    """Admins' drop-ins as they were; the ones that came since go, into the journal."""
    resources: list[Resource] = []
    for name, (directory, now) in drop_in_places(facts, paths).items():
        then = _of_directory(files, name)
        resources += [
            File(directory / file, data, mode=0o600, is_admins=True) for file, data in then.items()
        ]
        resources += [Absent(directory / file, is_admins=True) for file in now if file not in then]
    return resources


def try_candidate(host: Host, paths: Paths, outcome: Outcome, progress: Progress) -> list[Finding]:
    """Load what is about to be applied, before anything running is touched.

    Returns what the hub would overlook. Raises TljhError with what the hub or Traefik says of it.
    """
    from tljh.hub.config_check import try_hub_configuration

    taken = address_findings(host, outcome.plan, outcome.config_bytes, outcome.facts, paths)
    if taken:
        raise TljhError(taken)
    overlooked: list[Finding] = []
    changed = {step.resource.key for step in outcome.plan.steps}
    # Whatever starts or restarts it: one that runs may have been started with something else.
    if f"unit {HUB_UNIT}" in changed:
        with progress.step("check: the hub can load its configuration"):
            overlooked = try_hub_configuration(host, paths, outcome.config, outcome.facts)
    for step in outcome.plan.steps:
        if isinstance(step.resource, HubDatabase):
            with progress.step("check: the database can be migrated"):
                step.resource.rehearse(host)
    # What we render from the schema alone is known to Traefik; what admins wrote is not.
    facts = outcome.facts
    has_foreign = facts.rules or facts.traefik_drop_ins or facts.certificate_files
    if has_foreign and any(str(paths.traefik_dir) in key for key in changed):
        with progress.step("check: Traefik can load its configuration"):
            try_traefik(host, outcome.config, outcome.facts, paths)
    return overlooked
