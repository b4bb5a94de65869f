"""The user environment as a resource of the engine."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.adopted import is_adopted
from tljh.conda.channels import build_package_environment, format_channels
from tljh.conda.environment import (
    BUILDING,
    RequiredPackage,
    UserEnvironment,
    compute_digest,
    find_missing_packages,
    find_shadowed_distributions,
    read_environment,
)
from tljh.conda.environment_check import check_environment, list_conflicts
from tljh.conda.preset_packages import PresetChanges, PresetPackage, plan_presets
from tljh.conda.requirements import read_requirements
from tljh.conda.snapshot_requests import (
    UNKNOWN_CAUSE,
    SnapshotLimits,
    lock_environment,
    record,
)
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import BackgroundCommand, Host, HostReader

if TYPE_CHECKING:
    from collections.abc import Set


# Required whatever the admin asks for: servers start JupyterLab from this environment, and the
# admin changes it with its own pip.
BASE = (
    RequiredPackage("python"),
    RequiredPackage("pip"),
    RequiredPackage("jupyterlab"),
    RequiredPackage("notebook"),
    RequiredPackage("nbgitpuller"),
    RequiredPackage("jupyter-resource-usage"),
    RequiredPackage("ipywidgets"),
)


@dataclass(frozen=True)
class PlannedPackages:
    """The outcome of planning, kept so that exactly the planned packages are installed."""

    number: int
    existed: bool
    lock: str | None
    requirements: tuple[str, ...]
    reinstall: tuple[str, ...] = ()
    presets: PresetChanges = field(default_factory=PresetChanges)


@dataclass(frozen=True)
class UserEnvironmentPresent(Resource):
    """A user environment with at least the packages `required` and the pip requirements.

    It also has the packages of `presets`, and those of no other preset.

    `requirements_from` is a URL or path of a requirements file; `requirements` are single
    requirements. `prepared` is set by planning. With `limits`, what other programs changed becomes
    a snapshot first.
    """

    paths: Paths
    channels: tuple[str, ...]
    required: tuple[RequiredPackage, ...]
    requirements: tuple[str, ...] = ()
    requirements_from: str | None = None
    limits: SnapshotLimits | None = None
    presets: tuple[PresetPackage, ...] = ()
    prepared: PlannedPackages | None = None
    running: BackgroundCommand | None = None

    kind: ClassVar[str] = "user-environment"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        planned = self.planned(host, frozenset())
        return planned[1] if planned else None

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """Plan a build if packages are missing.

        The versions are chosen now, so that an unreachable channel fails the plan.
        """
        existing = read_environment(host, self.paths.user)
        environment = existing or UserEnvironment()
        missing = find_missing_packages(environment, self.required)
        if existing is not None and is_adopted(host, self.paths):
            missing = []
        texts = [*self.requirements, *read_requirements(host, self.requirements_from)]
        new_texts = [text for text in texts if compute_digest(text) not in environment.requirements]
        presets = plan_presets(host, self.paths, existing, self.presets)
        if not missing and not new_texts and not presets:
            return None
        reinstall = tuple(find_shadowed_distributions(environment, missing))
        solution = None
        if missing:
            specs = [package.spec for package in self.required]
            variables = build_package_environment(host, self.paths, os.environ)
            solution = engine.solve(host, self.channels, specs, self.paths.user, variables)
        prepared = PlannedPackages(
            find_next_number(host, self.paths, environment),
            existing is not None,
            solution.lock if solution else None,
            # One new requirement has all of them installed again: uv must satisfy them together.
            tuple(texts) if new_texts else (),
            reinstall,
            presets,
        )
        return replace(self, prepared=prepared), _describe(
            self.channels, solution, prepared, len(new_texts)
        )

    def before(self, host: HostReader) -> Record:
        prepared = self._prepared(host)
        return {
            "prefix": str(self.paths.user),
            "other": str(self._other(prepared)),
            "number": prepared.number,
            "existed": prepared.existed,
        }

    def started(self, host: Host) -> Resource:
        """Start to build a first environment in the background, during the earlier steps.

        An existing environment is built in its turn only: until then an admin may change it,
        and the build starts from a copy of it.
        """
        prepared = self.prepared
        if prepared is None or prepared.existed or host.info(self.paths.versions) is None:
            return self
        variables = build_package_environment(host, self.paths, os.environ)
        running = engine.start_build(host, self._build(host), self._building, variables)
        return replace(self, running=running)

    def stop(self, host: Host) -> None:
        if self.running is None:
            return
        build = self._build(host)
        # `stop` is False where `apply` has waited for the build: if it failed, the command will be
        # repeated and needs the downloads again, so the cache stays.
        if self.running.stop() and not build.keep_cache:
            host.remove(build.cache)
        host.remove(self._building)

    def apply(self, host: Host, progress: Progress) -> None:
        build = self._build(host)
        if self.running is not None:
            engine.finish_build(self.running, self.channels, progress)
            build = replace(build, built=self._building)
        variables = build_package_environment(host, self.paths, os.environ)
        with lock_environment(host, self.paths):
            if self.limits is not None and host.info(self.paths.snapshot_store):
                record(host, self.paths, UNKNOWN_CAUSE, self.limits)
            is_checked = bool(self._prepared(host).presets)
            has_conflicts = is_checked and host.info(self.paths.user) is not None
            conflicts = list_conflicts(host, self.paths) if has_conflicts else ()
            engine.build(host, build, self.channels, variables, progress)
            if is_checked:
                check_environment(host, self.paths, conflicts, progress)

    def _build(self, host: HostReader) -> engine.BuildRequest:
        prepared = self._prepared(host)
        variables = build_package_environment(host, self.paths, os.environ)
        kept_cache = variables.get("RATTLER_CACHE_DIR")
        environment = read_environment(host, self.paths.user) or UserEnvironment()
        digests = {
            compute_digest(text) for text in prepared.requirements
        } | environment.requirements
        presets = prepared.presets
        return engine.BuildRequest(
            prefix=self.paths.user,
            other=self._other(prepared),
            number=prepared.number,
            cache=Path(kept_cache) if kept_cache else self.paths.package_cache,
            keep_cache=kept_cache is not None,
            lock=prepared.lock,
            specs=tuple(package.spec for package in self.required),
            reinstall=prepared.reinstall,
            requirements=(*prepared.requirements, *presets.requirements),
            constraints=(
                *(
                    f"{package.distribution or package.bare_name}>={package.at_least}"
                    for package in self.required
                    if package.at_least
                ),
                # Versions of before, where conda's packages change at the same time.
                *(presets.constraints if prepared.lock is None else ()),
            ),
            requirement_digests=tuple(sorted((digests | presets.added) - presets.dropped)),
            uninstall=presets.uninstall,
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)

    def _prepared(self, host: HostReader) -> PlannedPackages:
        """Return the packages that planning has chosen; choose them now if it has not run."""
        if self.prepared is not None:
            return self.prepared
        planned = self.planned(host, frozenset())
        if planned is None or not isinstance(planned[0], UserEnvironmentPresent):
            raise RuntimeError(f"{self.paths.user} lacks nothing: there is nothing to apply")
        return planned[0]._prepared(host)

    @property
    def _building(self) -> Path:
        return self.paths.versions / f"{BUILDING}user"

    def _other(self, prepared: PlannedPackages) -> Path:
        return self.paths.replaced_user(prepared.number)


def find_next_number(host: HostReader, paths: Paths, environment: UserEnvironment) -> int:
    """Return a number above those of the environment and of all replaced ones."""
    stem = paths.replaced_user(0).name.removesuffix("0")
    names = (name.removeprefix(stem) for name in host.listdir(paths.versions))
    return 1 + max([environment.generation, *(int(name) for name in names if name.isdigit())])


def remove_replaced(host: Host, paths: Paths) -> None:
    """Remove the environment before the last exchange; no rollback needs it any more."""
    stem = paths.replaced_user(0).name.removesuffix("0")
    for name in host.listdir(paths.versions):
        if name.startswith(stem):
            host.remove(paths.versions / name)


def _describe(
    channels: Sequence[str],
    solution: engine.Solution | None,
    prepared: PlannedPackages,
    requirement_count: int,
) -> Difference:
    parts: list[str] = []
    diff: list[str] = []
    if solution is not None and not prepared.existed:
        parts.append(f"{len(solution.added)} packages from {format_channels(channels)}")
    elif solution is not None:
        counts = f"+{len(solution.added)} ~{len(solution.changed)} -{len(solution.removed)}"
        parts.append(f"packages {counts}")
        diff += [f"+ {name} {version}" for name, version in solution.added.items()]
        diff += [f"~ {name} {old} -> {new}" for name, (old, new) in solution.changed.items()]
        diff += [f"- {name}" for name in solution.removed]
    if solution is not None and solution.download_bytes:
        parts.append(f"{solution.download_bytes / 1e6:.0f} MB")
    if prepared.reinstall:
        parts.append(f"conda's {', '.join(prepared.reinstall)} replaces pip's")
    if requirement_count:
        parts.append(f"pip requirements ({requirement_count})")
    if prepared.presets:
        parts.append("presets")
        diff += prepared.presets.lines
    return Difference("~" if prepared.existed else "+", ", ".join(parts), tuple(diff))


def require_singleuser(version: str | None = None) -> RequiredPackage:
    """Return jupyterhub's package for users' servers, in the version of the hub.

    `version` is by default the JupyterHub that this process can import.
    """
    name, distribution = "jupyterhub-singleuser", "jupyterhub"
    try:
        version = version or importlib.metadata.version("jupyterhub")
    except importlib.metadata.PackageNotFoundError:
        return RequiredPackage(name, distribution=distribution)
    return RequiredPackage(name, f"=={version}", version, distribution)
