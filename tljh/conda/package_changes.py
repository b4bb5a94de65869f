"""Changes of packages that an admin asks for: `tljh env install`, `remove` and `update`.

`tljh/conda/worker/package_plans.py` and `pip_changes.py` make the plans.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.channels import build_package_environment, get_channel_url
from tljh.conda.declared_environment import normalize_spec
from tljh.conda.engine import (
    SOLVE_MEMORY_BYTES,
    ask_worker,
    build_worker_command,
    find_uv,
    parse_answer,
)
from tljh.conda.environment import (
    RequiredPackage,
    UserEnvironment,
    is_at_least,
    normalize_name,
    read_environment,
)
from tljh.conda.resource import find_next_number
from tljh.conda.snapshot_requests import lock_environment
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader

Action = Literal["install", "remove", "update"]


@dataclass(frozen=True)
class PackageRequest:
    """What an admin asks for; `specs` may be empty for an update, which is of everything."""

    action: Action
    specs: tuple[str, ...]
    is_pip: bool = False

    @property
    def command(self) -> str:
        """Return the request as the history shows it, quoted for a shell."""
        return shlex.join(["env", self.action, *(["--pip"] if self.is_pip else []), *self.specs])


@dataclass(frozen=True)
class PackageChange:
    """A package that is new (no `old`), removed (no `new`) or changed; sizes are in bytes."""

    name: str
    old: str | None
    new: str | None
    download: int = 0
    freed: int = 0

    def as_text(self) -> str:
        size = f"  {self.download / 1e6:.1f} MB" if self.download else ""
        if self.old is None:
            return f"+ {self.name} {self.new}{size}"
        if self.new is None:
            freed = f"  {self.freed / 1e6:.1f} MB free" if self.freed else ""
            return f"- {self.name} {self.old}{freed}"
        return f"~ {self.name} {self.old} -> {self.new}{size}"


@dataclass(frozen=True)
class PackagePlan:
    """The changes that a command comes to, kept so that exactly these are made.

    `specs` are conda packages that the admin asks for, `requirements` what pip installs, each as
    the text of a file, and `uninstall` what it removes. `replaced_from_pip` are distributions of
    pip that conda's packages replace; `shadowed` are conda packages whose files pip replaces.
    `environment` is the state that was planned for. With `is_complete`, the requirements are all
    that is needed: pip adds no dependencies.
    """

    command: str
    environment: UserEnvironment
    changes: tuple[PackageChange, ...]
    lock: str | None = None
    specs: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    uninstall: tuple[str, ...] = ()
    replaced_from_pip: tuple[str, ...] = ()
    reinstall: tuple[str, ...] = ()
    shadowed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    is_upgrade: bool = False
    is_complete: bool = False

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return what the changes do to packages of the other program."""
        lines = []
        if self.replaced_from_pip:
            lines.append(f"conda's {', '.join(self.replaced_from_pip)} replaces pip's")
        if self.shadowed:
            lines.append(
                f"pip's {', '.join(self.shadowed)} replaces the files of conda's package, "
                "which conda does not know"
            )
        return (*self.notes, *lines)


def plan_changes(
    host: HostReader,
    paths: Paths,
    request: PackageRequest,
    channels: Sequence[str],
    required: Sequence[RequiredPackage],
) -> PackagePlan:
    """Return the changes that a request comes to; nothing is changed.

    What `required` needs is not removed, and not replaced by an older version. Raises TljhError.
    """
    environment = read_environment(host, paths.user) or UserEnvironment()
    fields: dict[str, Any] = {
        "prefix": str(paths.user),
        "action": request.action,
        "specs": list(request.specs),
        "protected": list_protected(required),
    }
    if request.is_pip:
        fields |= {
            "operation": "plan_pip",
            "uv": find_uv(),
            "constraints": list(list_pip_constraints(required)),
        }
    else:
        fields |= {
            "operation": "plan_packages",
            "specs": [normalize_spec(spec) for spec in request.specs],
            "channels": [get_channel_url(channel) for channel in channels],
            "constraints": list_constraints(environment, required),
            "memory_cap_bytes": SOLVE_MEMORY_BYTES,
        }
    answer = ask_worker(host, paths, fields, channels)
    changes = tuple(PackageChange(**row) for row in answer.pop("changes"))
    lists: dict[str, Any] = {name: tuple(value) for name, value in answer.items() if name != "lock"}
    planned = PackagePlan(
        request.command,
        environment,
        changes,
        answer.get("lock"),
        channels=tuple(channels),
        is_upgrade=request.action == "update",
        **lists,
    )
    return _add_request(planned, request)


def _add_request(planned: PackagePlan, request: PackageRequest) -> PackagePlan:
    """Return the plan with what the admin asked for, by pip or by conda."""
    names = tuple(change.name for change in planned.changes)
    removed = tuple(change.name for change in planned.changes if change.new is None)
    if request.action == "remove":
        return (
            replace(planned, uninstall=removed)
            if request.is_pip
            else replace(planned, removed=removed)
        )
    if request.is_pip:
        return replace(planned, requirements=request.specs or names)
    return replace(planned, specs=request.specs)


def list_protected(required: Sequence[RequiredPackage]) -> list[str]:
    names = {package.bare_name for package in required}
    names |= {normalize_name(p.distribution) for p in required if p.distribution}
    return sorted(names)


def list_constraints(
    environment: UserEnvironment, required: Sequence[RequiredPackage]
) -> list[str]:
    """Return constraints of the solver that keep each required package as good as it is."""
    constraints = []
    for package in required:
        version = environment.version(package)
        if package.at_least and version and is_at_least(version, package.at_least):
            constraints.append(f"{package.bare_name} >={package.at_least}")
        elif package.constraint and not package.at_least:
            constraints.append(f"{package.bare_name} {package.constraint.strip()}")
    return constraints


def list_pip_constraints(required: Sequence[RequiredPackage]) -> tuple[str, ...]:
    return tuple(
        f"{package.distribution or package.bare_name}>={package.at_least}"
        for package in required
        if package.at_least
    )


def list_packages(host: HostReader, paths: Paths) -> list[dict[str, str]]:
    """Return name, version, build and channel of each package; the channel of pip's is `pip`."""
    fields = {"operation": "list_packages", "prefix": str(paths.user)}
    # Every user may list: the variables of the installation, which root alone can read, stay out.
    result = host.query(build_worker_command(), stdin=json.dumps(fields))
    rows: list[dict[str, str]] = parse_answer(result, ())["rows"]
    return rows


def search_packages(
    host: HostReader, paths: Paths, text: str, channels: Sequence[str], most: int
) -> list[dict[str, Any]]:
    """Return up to `most` packages of the channels whose name contains a text."""
    fields = {
        "operation": "search",
        "text": text,
        "most": most,
        "channels": [get_channel_url(channel) for channel in channels],
    }
    rows: list[dict[str, Any]] = ask_worker(host, paths, fields, channels)["rows"]
    return rows


@dataclass(frozen=True)
class PackagesChanged(Resource):
    """The user environment with the changes of a plan, which are made in a copy of it."""

    paths: Paths
    planned_changes: PackagePlan
    required: tuple[RequiredPackage, ...]

    kind: ClassVar[str] = "packages"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        lines = tuple(change.as_text() for change in self.planned_changes.changes)
        return Difference("~", self.planned_changes.command, lines) if lines else None

    def before(self, host: HostReader) -> Record:
        number = self._number(host)
        return {
            "prefix": str(self.paths.user),
            "other": str(self.paths.replaced_user(number)),
            "number": number,
            "existed": host.info(self.paths.user) is not None,
        }

    def apply(self, host: Host, progress: Progress) -> None:
        variables = build_package_environment(host, self.paths, os.environ)
        with lock_environment(host, self.paths):
            current = read_environment(host, self.paths.user) or UserEnvironment()
            if current != self.planned_changes.environment:
                raise TljhError(
                    "the user environment has changed since this was planned",
                    why="another admin, or a program such as pip, has installed something",
                    fix="run the command again: it makes a new plan",
                )
            build = self._build(host, variables, current)
            engine.build(host, build, self.planned_changes.channels, variables, progress)

    def _build(
        self, host: HostReader, variables: Mapping[str, str], environment: UserEnvironment
    ) -> engine.BuildRequest:
        planned, number = self.planned_changes, self._number(host)
        kept_cache = variables.get("RATTLER_CACHE_DIR")
        return engine.BuildRequest(
            prefix=self.paths.user,
            other=self.paths.replaced_user(number),
            number=number,
            cache=Path(kept_cache) if kept_cache else self.paths.package_cache,
            keep_cache=kept_cache is not None,
            lock=planned.lock,
            specs=planned.specs,
            reinstall=planned.reinstall,
            requirements=planned.requirements,
            constraints=(*list_pip_constraints(self.required), *planned.constraints),
            requirement_digests=tuple(sorted(environment.requirements)),
            removed=planned.removed,
            uninstall=planned.uninstall,
            is_upgrade=planned.is_upgrade,
            is_complete=planned.is_complete,
            command=f"tljh {planned.command}",
        )

    def _number(self, host: HostReader) -> int:
        environment = read_environment(host, self.paths.user) or UserEnvironment()
        return find_next_number(host, self.paths, environment)

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)
