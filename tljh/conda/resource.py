"""The user environment as a resource of the engine."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.channels import format_channels, package_environment
from tljh.conda.environment import (
    BUILDING,
    RequiredPackage,
    UserEnvironment,
    missing_packages,
    read_environment,
    requirement_digest,
    shadowed_distributions,
)
from tljh.conda.requirements import read_requirements
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader, Running

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


# In addition to the snapshot that a build makes. Each costs the disk space of what changed
# since, because unchanged files are hard links.
KEPT_SNAPSHOTS = 2


@dataclass(frozen=True)
class Prepared:
    """The outcome of planning, kept so that exactly the planned packages are installed."""

    number: int
    existed: bool
    lock: str | None
    requirements: tuple[str, ...]
    reinstall: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserEnvironmentPresent(Resource):
    """A user environment with at least the packages `required` and the pip requirements.

    `requirements_from` is a URL or path of a requirements file; `requirements` are single
    requirements. `prepared` is set by planning.
    """

    paths: Paths
    channels: tuple[str, ...]
    required: tuple[RequiredPackage, ...]
    requirements: tuple[str, ...] = ()
    requirements_from: str | None = None
    prepared: Prepared | None = None
    running: Running | None = None

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
        """Solve if anything is missing, so that an unreachable channel fails the plan."""
        existing = read_environment(host, self.paths.user)
        environment = existing or UserEnvironment()
        missing = missing_packages(environment, self.required)
        texts = [*self.requirements, *read_requirements(host, self.requirements_from)]
        new_texts = [
            text for text in texts if requirement_digest(text) not in environment.requirements
        ]
        if not missing and not new_texts:
            return None
        reinstall = tuple(shadowed_distributions(environment, missing))
        solution = None
        if missing:
            specs = [package.spec for package in self.required]
            variables = package_environment(host, self.paths, os.environ)
            solution = engine.solve(host, self.channels, specs, self.paths.user, variables)
        prepared = Prepared(
            next_number(host, self.paths, environment),
            existing is not None,
            solution.lock if solution else None,
            # One new requirement has all of them installed again: uv must satisfy them together.
            tuple(texts) if new_texts else (),
            reinstall,
        )
        return replace(self, prepared=prepared), _describe(
            existing is None, solution, self.channels, len(new_texts), reinstall
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
        variables = package_environment(host, self.paths, os.environ)
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
        variables = package_environment(host, self.paths, os.environ)
        engine.build(host, build, self.channels, variables, progress)

    def _build(self, host: HostReader) -> engine.Build:
        prepared = self._prepared(host)
        variables = package_environment(host, self.paths, os.environ)
        kept_cache = variables.get("RATTLER_CACHE_DIR")
        environment = read_environment(host, self.paths.user) or UserEnvironment()
        digests = {requirement_digest(text) for text in prepared.requirements}
        return engine.Build(
            prefix=self.paths.user,
            other=self._other(prepared),
            number=prepared.number,
            cache=Path(kept_cache) if kept_cache else self.paths.package_cache,
            keep_cache=kept_cache is not None,
            keep_snapshots=KEPT_SNAPSHOTS,
            lock=prepared.lock,
            specs=tuple(package.spec for package in self.required),
            reinstall=prepared.reinstall,
            requirements=prepared.requirements,
            constraints=tuple(
                f"{package.distribution or package.bare_name}>={package.at_least}"
                for package in self.required
                if package.at_least
            ),
            requirement_digests=tuple(sorted(digests | environment.requirements)),
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)

    def _prepared(self, host: HostReader) -> Prepared:
        """Return what planning prepared; plan now where that has not happened."""
        if self.prepared is not None:
            return self.prepared
        planned = self.planned(host, frozenset())
        if planned is None or not isinstance(planned[0], UserEnvironmentPresent):
            raise RuntimeError(f"{self.paths.user} lacks nothing: there is nothing to apply")
        return planned[0]._prepared(host)

    @property
    def _building(self) -> Path:
        return self.paths.versions / f"{BUILDING}user"

    def _other(self, prepared: Prepared) -> Path:
        return self.paths.user_snapshot(prepared.number)


def next_number(host: HostReader, paths: Paths, environment: UserEnvironment) -> int:
    """Return a number above those of the environment and of all snapshots.

    A number that is used again would overwrite a snapshot, and `revert` could not tell the new
    build from the old one.
    """
    names = (name.removeprefix("user-") for name in host.listdir(paths.versions))
    return 1 + max([environment.generation, *(int(name) for name in names if name.isdigit())])


def _describe(
    is_new: bool,
    solution: engine.Solution | None,
    channels: Sequence[str],
    requirement_count: int,
    reinstall: Sequence[str],
) -> Difference:
    parts: list[str] = []
    diff: list[str] = []
    if solution is not None and is_new:
        parts.append(f"{len(solution.added)} packages from {format_channels(channels)}")
    elif solution is not None:
        counts = f"+{len(solution.added)} ~{len(solution.changed)} -{len(solution.removed)}"
        parts.append(f"packages {counts}")
        diff += [f"+ {name} {version}" for name, version in solution.added.items()]
        diff += [f"~ {name} {old} -> {new}" for name, (old, new) in solution.changed.items()]
        diff += [f"- {name}" for name in solution.removed]
    if solution is not None and solution.download_bytes:
        parts.append(f"{solution.download_bytes / 1e6:.0f} MB")
    if reinstall:
        parts.append(f"conda's {', '.join(reinstall)} replaces pip's")
    if requirement_count:
        parts.append(f"pip requirements ({requirement_count})")
    return Difference("+" if is_new else "~", ", ".join(parts), tuple(diff))


def singleuser(version: str | None = None) -> RequiredPackage:
    """Return the single-user server for a JupyterHub of `version`, by default this process's."""
    name, distribution = "jupyterhub-singleuser", "jupyterhub"
    try:
        version = version or importlib.metadata.version("jupyterhub")
    except importlib.metadata.PackageNotFoundError:
        return RequiredPackage(name, distribution=distribution)
    return RequiredPackage(name, f"=={version}", version, distribution)
