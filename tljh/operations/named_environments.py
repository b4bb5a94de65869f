"""Named environments: created, shown to users, listed and deleted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from tljh.base.errors import Exit, TljhError
from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import environment_check
from tljh.conda.declared_changes import find_more_channels, parse_file, plan_file, strip_channel
from tljh.conda.environment import RequiredPackage, read_environment
from tljh.conda.named_environments import (
    EnvironmentMoved,
    KernelsPublished,
    build_kernels,
    check_name,
    forget_moved,
    list_audience,
    list_environments,
    read_title,
)
from tljh.conda.package_changes import PackagesChanged
from tljh.conda.resource import UserEnvironmentPresent
from tljh.conda.snapshot_resources import EnvironmentRecorded
from tljh.engine.apply import ChangeContext, apply, get_caller_name, recover
from tljh.engine.file_resources import Directory
from tljh.engine.journal import Journal
from tljh.engine.plan import Plan, plan
from tljh.engine.resource import Resource
from tljh.host.interface import Host, HostReader
from tljh.operations.converge import LOCK_TIMEOUT_S
from tljh.operations.installed_config import get_config_lock, load_configuration
from tljh.operations.installed_config import read_installed_configuration as read_configuration
from tljh.operations.installed_environment import PackageSources, read_limits

_PYTHON = re.compile(r"[23](\.\d{1,3}){0,2}")


@dataclass(frozen=True)
class NewEnvironment:
    """What an admin asks for. Without `groups`, all users see the kernels."""

    name: str
    specs: tuple[str, ...] = ()
    python: str = ""
    file: str = ""
    groups: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True)
class NamedEnvironment:
    """A named environment: the number of its packages, its kernels, and who sees them."""

    name: str
    title: str
    packages: int
    kernels: tuple[str, ...]
    groups: tuple[str, ...]
    path: str

    @property
    def audience(self) -> str:
        if not self.groups:
            return "nobody"
        return ", ".join(f"group {group}" if group else "all users" for group in self.groups)


@dataclass(frozen=True)
class PlannedEnvironment:
    """The packages of a new environment, chosen now; `creating` builds exactly these."""

    paths: Paths
    creating: Resource
    summary: str
    request: NewEnvironment


def require_name(host: HostReader, paths: Paths, name: str) -> Paths:
    """Return the paths of an environment that exists. Raises TljhError for any other name."""
    read_configuration(host, paths)
    names = list_environments(host, paths)
    if name not in names:
        raise TljhError(
            f"there is no environment {name}",
            why=f"there is {', '.join(names)}" if names else "there is only that of all users",
            fix="list them: tljh env show",
            exit_code=Exit.USAGE,
        )
    return paths.of_environment(name)


def plan_creation(
    host: HostReader, paths: Paths, request: NewEnvironment, sources: PackageSources
) -> PlannedEnvironment:
    """Return the packages of a new environment; nothing is changed. Raises TljhError."""
    check_name(request.name)
    if request.python and not _PYTHON.fullmatch(request.python):
        raise TljhError(
            f"{request.python!r} is no version of Python",
            fix="run it again with: --python 3.12, for example",
            exit_code=Exit.USAGE,
        )
    new = paths.of_environment(request.name)
    if host.info(new.user) is not None:
        raise TljhError(
            f"there is an environment {request.name} already",
            fix=f"install packages into it: sudo tljh env install --env {quote(request.name)} SPEC",
        )
    python = RequiredPackage("python", f"={request.python}" if request.python else "")
    own = tuple(map(RequiredPackage.from_spec, request.specs))
    # A spec of the admin replaces ours of the same package.
    names = {package.bare_name for package in own}
    required = (python, *sources.required)
    required = (*(item for item in required if item.bare_name not in names), *own)
    resource = _choose_packages(host, new, request, replace(sources, required=required))
    step = plan([resource], host).steps[0]
    return PlannedEnvironment(new, step.resource, step.difference.summary, request)


def _choose_packages(
    host: HostReader, new: Paths, request: NewEnvironment, sources: PackageSources
) -> Resource:
    channels, required = sources.channels, sources.required
    if not request.file:
        return UserEnvironmentPresent(new, channels, required)
    declared = parse_file(host, request.file)
    if declared.is_exact:
        if request.specs or request.python:
            raise TljhError(
                f"{request.file} declares every package, so nothing can be added to it",
                fix="leave out --python and the packages, and install them afterwards",
                exit_code=Exit.USAGE,
            )
        return PackagesChanged(
            new, plan_file(host, new, request.file, channels, required), required
        )
    more = find_more_channels(declared.channels, channels)
    specs = [RequiredPackage.from_spec(strip_channel(s, channels)) for s in declared.specs]
    names = {package.bare_name for package in specs}
    if request.python and "python" in names:
        names.discard("python")
        specs = [package for package in specs if package.bare_name != "python"]
    ours = (package for package in required if package.bare_name not in names)
    texts = ("\n".join(declared.requirements) + "\n",) if declared.requirements else ()
    return UserEnvironmentPresent(new, (*channels, *more), (*ours, *specs), texts)


def create(
    host: Host,
    paths: Paths,
    planned: PlannedEnvironment,
    progress: Progress,
    check: Callable[..., None] = environment_check.check_environment,
) -> NamedEnvironment:
    """Create an environment, check it, and show its kernels; where that fails, it is removed."""
    new, request = planned.paths, planned.request
    groups = request.groups or ("",)
    limits = read_limits(host, paths)
    creating = planned.creating
    command = f"env create {request.name}"
    resources = [
        Directory(paths.environments, 0o755),
        Directory(new.versions.parent, 0o755),
        Directory(new.versions, 0o755),
        creating,
        KernelsPublished(new, (creating,), groups, request.title or request.name),
        EnvironmentRecorded(new, (creating,), command, limits, is_good=True, in_background=False),
    ]
    _apply(host, paths, resources, command, progress, lambda: check(host, new, (), progress))
    return describe(host, new)


def share(
    host: Host,
    paths: Paths,
    name: str,
    groups: Sequence[str],
    title: str,
    progress: Progress,
) -> NamedEnvironment:
    """Show the kernels of an environment to groups; '' stands for all users."""
    new = require_name(host, paths, name)
    published = KernelsPublished(new, (), tuple(dict.fromkeys(groups)), title or None)
    _apply(host, paths, [published], f"env share {name}", progress, lambda: None)
    return describe(host, new)


def delete(host: Host, paths: Paths, name: str, progress: Progress) -> None:
    """Delete an environment with its kernels and snapshots."""
    new = require_name(host, paths, name)
    resources = [KernelsPublished(new, (), ()), EnvironmentMoved(new)]
    _apply(host, paths, resources, f"env delete {name}", progress, lambda: None)
    host.remove(new.environment_lock)


def _apply(
    host: Host,
    paths: Paths,
    resources: Sequence[Resource],
    command: str,
    progress: Progress,
    health: Callable[[], None],
) -> None:
    journal = Journal(paths.journal_dir)
    with host.lock(paths.lock, timeout_s=LOCK_TIMEOUT_S):
        recover(host, journal, progress, get_config_lock(host, paths))
        forget_moved(host, paths)
        planned: Plan = plan(sorted(resources, key=lambda resource: resource.stage), host)
        context = ChangeContext(
            get_caller_name(), command, journal.last_files(host) or {}, is_state=False
        )
        apply(
            planned,
            host,
            journal,
            context,
            progress=progress,
            health=health,
            health_title="try the environment as users do",
        )
        forget_moved(host, paths)


def list_all(host: HostReader, paths: Paths) -> list[NamedEnvironment]:
    """Return all named environments."""
    return [describe(host, paths.of_environment(name)) for name in list_environments(host, paths)]


def describe(host: HostReader, paths: Paths) -> NamedEnvironment:
    """Return what is known of a named environment."""
    environment = read_environment(host, paths.user)
    title = read_title(host, paths)
    return NamedEnvironment(
        paths.environment,
        title,
        len(environment.conda) if environment else 0,
        tuple(sorted(build_kernels(host, paths, title))),
        list_audience(host, paths),
        str(paths.user),
    )


def find_unknown_groups(host: HostReader, paths: Paths, groups: Sequence[str]) -> list[str]:
    """Return the groups that config.yaml does not have; the hub's own may have members, too."""
    config = load_configuration(host, paths, read_configuration(host, paths))
    in_config = {*config.users.extra_user_groups, *config.users.groups}
    return [group for group in groups if group and group not in in_config]


def make_source_absolute(source: str) -> str:
    """Return a file's absolute path, or the URL as it is."""
    return source if not source or "://" in source else str(Path(source).absolute())
