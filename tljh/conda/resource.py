"""The shared environment and conda's own prefix as resources of the engine."""

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
from tljh.conda.channels import names_of
from tljh.conda.environment import (
    BUILDING,
    UserEnvironment,
    Wanted,
    lacking,
    read_environment,
    requirement_digest,
    shadowed,
)
from tljh.conda.network import package_environment
from tljh.conda.requirements import read_requirements
from tljh.engine.resource import Difference, Record, Resource, Undo
from tljh.host.interface import Host, HostReader, Running

if TYPE_CHECKING:
    from collections.abc import Set

    from tljh.plugins.manager import Contributions
    from tljh.settings.root import Config

# Whatever else they ask for, people start JupyterLab in it, and pip and conda work in it.
BASE = (
    Wanted("python"),
    Wanted("pip"),
    Wanted("jupyterlab"),
    Wanted("notebook"),
    Wanted("nbgitpuller"),
    Wanted("jupyter-resource-usage"),
    Wanted("ipywidgets"),
)


# The state before the last changes stays at hand; each costs what changed since.
KEPT_SNAPSHOTS = 2


@dataclass(frozen=True)
class Prepared:
    """What planning found out, so that what is applied is what was planned."""

    number: int
    existed: bool
    lock: str | None
    requirements: tuple[str, ...]
    reinstall: tuple[str, ...] = ()


@dataclass(frozen=True)
class UserEnvironmentPresent(Resource):
    """The environment all users share holds at least `wanted` and what `requirements` say.

    `requirements_from` is a URL or a file with pip requirements; `requirements` are single
    ones. `prepared` is filled in by planning.
    """

    paths: Paths
    channels: tuple[str, ...]
    wanted: tuple[Wanted, ...]
    requirements: tuple[str, ...] = ()
    requirements_from: str | None = None
    prepared: Prepared | None = None
    running: Running | None = None

    kind: ClassVar[str] = "user-environment"
    undo: ClassVar[Undo] = Undo.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        found = self.planned(host, frozenset())
        return found[1] if found else None

    def planned(self, host: HostReader, changed: Set[str]) -> tuple[Resource, Difference] | None:
        """Solves, if anything is missing: an unreachable channel is known before any change."""
        environment = read_environment(host, self.paths.user)
        there = environment or UserEnvironment()
        missing = lacking(there, self.wanted)
        texts = [*self.requirements, *read_requirements(host, self.requirements_from)]
        new_texts = [text for text in texts if requirement_digest(text) not in there.requirements]
        if not missing and not new_texts:
            return None
        again = tuple(shadowed(there, missing))
        solution = None
        if missing:
            specs = [package.spec for package in self.wanted]
            variables = package_environment(host, self.paths, os.environ)
            solution = engine.solve(host, self.channels, specs, self.paths.user, variables)
        prepared = Prepared(
            next_number(host, self.paths, there),
            environment is not None,
            solution.lock if solution else None,
            tuple(texts) if new_texts else (),
            again,
        )
        return replace(self, prepared=prepared), _described(
            environment is None, solution, self.channels, len(new_texts), again
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
        """A first environment is built while the steps before it are taken.

        One that stands is not: an admin may change it in the meantime.
        """
        prepared = self.prepared
        if prepared is None or prepared.existed or host.info(self.paths.versions) is None:
            return self
        variables = package_environment(host, self.paths, os.environ)
        running = engine.begin(host, self._build(host), self._beside, variables)
        return replace(self, running=running)

    def stop(self, host: Host) -> None:
        if self.running is None:
            return
        build = self._build(host)
        # What was fetched for a build that failed is wanted again when it is repeated.
        if self.running.stop() and not build.keep_cache:
            host.remove(build.cache)
        host.remove(self._beside)

    def apply(self, host: Host, progress: Progress) -> None:
        build = self._build(host)
        if self.running is not None:
            engine.finish(self.running, self.channels, progress)
            build = replace(build, built=self._beside)
        variables = package_environment(host, self.paths, os.environ)
        engine.build(host, build, self.channels, variables, progress)

    def _build(self, host: HostReader) -> engine.Build:
        prepared = self._prepared(host)
        variables = package_environment(host, self.paths, os.environ)
        kept_cache = variables.get("RATTLER_CACHE_DIR")
        there = read_environment(host, self.paths.user) or UserEnvironment()
        digests = {requirement_digest(text) for text in prepared.requirements}
        return engine.Build(
            prefix=self.paths.user,
            other=self._other(prepared),
            number=prepared.number,
            cache=Path(kept_cache) if kept_cache else self.paths.versions / ".packages",
            keep_cache=kept_cache is not None,
            keep_snapshots=KEPT_SNAPSHOTS,
            lock=prepared.lock,
            specs=tuple(package.spec for package in self.wanted),
            reinstall=prepared.reinstall,
            requirements=prepared.requirements,
            constraints=tuple(
                f"{package.distribution or package.bare_name}>={package.at_least}"
                for package in self.wanted
                if package.at_least
            ),
            requirement_digests=tuple(sorted(digests | there.requirements)),
        )

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)

    def _prepared(self, host: HostReader) -> Prepared:
        """Planning's findings, or the same worked out now."""
        if self.prepared is not None:
            return self.prepared
        found = self.planned(host, frozenset())
        if found is None or not isinstance(found[0], UserEnvironmentPresent):
            raise RuntimeError(f"{self.paths.user} lacks nothing: there is nothing to apply")
        return found[0]._prepared(host)

    @property
    def _beside(self) -> Path:
        return self.paths.versions / f"{BUILDING}user"

    def _other(self, prepared: Prepared) -> Path:
        return self.paths.versions / f"user-{prepared.number}"


def next_number(host: HostReader, paths: Paths, there: UserEnvironment) -> int:
    """Higher than every build and snapshot that is to be seen, so that none is overwritten."""
    names = (name.removeprefix("user-") for name in host.listdir(paths.versions))
    return 1 + max([there.generation, *(int(name) for name in names if name.isdigit())])


def _described(
    is_new: bool,
    solution: engine.Solution | None,
    channels: Sequence[str],
    requirements: int,
    again: Sequence[str],
) -> Difference:
    parts: list[str] = []
    diff: list[str] = []
    if solution is not None and is_new:
        parts.append(f"{len(solution.added)} packages from {names_of(channels)}")
    elif solution is not None:
        counts = f"+{len(solution.added)} ~{len(solution.changed)} -{len(solution.removed)}"
        parts.append(f"packages {counts}")
        diff += [f"+ {name} {version}" for name, version in solution.added.items()]
        diff += [f"~ {name} {old} -> {new}" for name, (old, new) in solution.changed.items()]
        diff += [f"- {name}" for name in solution.removed]
    if solution is not None and solution.download_bytes:
        parts.append(f"{solution.download_bytes / 1e6:.0f} MB")
    if again:
        parts.append(f"conda's {', '.join(again)} again, in place of pip's")
    if requirements:
        parts.append(f"pip requirements ({requirements})")
    return Difference("+" if is_new else "~", ", ".join(parts), tuple(diff))


def user_environment_resources(
    config: Config,
    plugins: Contributions,
    paths: Paths,
    requirements: str | None = None,
) -> Sequence[Resource]:
    """The shared environment, and conda's own prefix where the channels offer conda.

    `requirements` is a URL or a file, given at an installation.
    """
    from tljh.conda.tools import CondaTools

    channels = plugins.conda_channels or tuple(config.user_environment.channels)
    wanted = (*BASE, singleuser(), *map(Wanted.from_spec, plugins.conda_packages))
    return [
        UserEnvironmentPresent(paths, channels, wanted, plugins.user_pip_packages, requirements),
        CondaTools(paths, channels),
    ]


def singleuser(version: str | None = None) -> Wanted:
    """The single-user server that fits the hub of this environment."""
    name, distribution = "jupyterhub-singleuser", "jupyterhub"
    try:
        version = version or importlib.metadata.version("jupyterhub")
    except importlib.metadata.PackageNotFoundError:
        return Wanted(name, distribution=distribution)
    return Wanted(name, f"=={version}", version, distribution)
