"""Checks of the user environment: files and directories that users cannot read."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import quote

from tljh.base.errors import Finding, Place
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.conda.adopted import is_adopted
from tljh.conda.named_environments import list_environments
from tljh.conda.package_problems import (
    examine_files,
    find_incompatible,
    find_unmet_requirements,
)
from tljh.host.interface import HostReader
from tljh.plugins.checks import Check, CheckedMachine, Result

# Where root installs what users' servers read, by hand or with a package manager. Programs of
# /usr/local/bin are left out: admins keep their scripts there, which only root runs.
SHARED_DIRECTORIES = (
    Path("/etc/jupyter"),
    Path("/usr/local/etc/jupyter"),
    Path("/usr/local/lib"),
    Path("/usr/local/share"),
    Path("/etc/apt/keyrings"),
    Path("/usr/share/keyrings"),
)

# In these directories of the user environment, a package's file belongs to what users run. A file
# elsewhere, for example a key in etc, may be root's on purpose.
PACKAGE_DIRECTORIES = ("bin", "lib", "conda-meta", "include", "share/jupyter", "etc/jupyter")

# What root owns and only root can read. A licence of mode 0640 that belongs to another group is
# private on purpose, so it is not found.
ONLY_ROOT = (
    "-xdev -uid 0 ( -type d ! -perm -005 -o -type f ! -perm -004 ) ( -gid 0 -o ! -perm -040 )"
)

FIND_TIMEOUT_S = 300.0
MOST_PATHS = 3


def find_unreadable(host: HostReader, directories: Sequence[Path]) -> list[Path]:
    """Return what only root can read in these directories, without what is inside of those."""
    existing = [str(path) for path in directories if host.info(path) is not None]
    if not existing:
        return []
    command = ["find", *existing, *ONLY_ROOT.split(), "-print0"]
    answer = host.query(command, timeout_s=FIND_TIMEOUT_S)
    unreadable: list[Path] = []
    for path in map(Path, sorted(filter(None, answer.out.split("\0")))):
        if not any(parent in unreadable for parent in path.parents):
            unreadable.append(path)
    return unreadable


def format_repair(directories: Sequence[Path]) -> str:
    """Return the command that makes what only root can read in these directories readable."""
    condition = ONLY_ROOT.replace("(", r"\(").replace(")", r"\)")
    places = " ".join(shlex.quote(str(path)) for path in directories)
    return f"sudo find {places} {condition} -exec chmod a+rX {{}} +"


def _check_readable(subject: CheckedMachine) -> Iterator[Result]:
    if not subject.is_installed:
        return
    user = subject.paths.user
    packages = [user / name for name in PACKAGE_DIRECTORIES]
    closed = find_unreadable(subject.host, [user])
    # A closed directory hides the packages in it.
    of_packages = [
        path
        for path in closed
        if _is_in(path, packages) or any(_is_in(directory, [path]) for directory in packages)
    ]
    for directories, paths in (
        ([user], of_packages),
        (SHARED_DIRECTORIES, find_unreadable(subject.host, SHARED_DIRECTORIES)),
    ):
        if paths:
            yield Severity.DEGRADED, _describe_closed(paths, directories)
    others = [path for path in closed if path not in of_packages]
    if others:
        yield (
            Severity.FINE,
            Finding(
                f"only root can read {_format_names(others)}",
                why="it is in the user environment, but belongs to no package",
                fix="if users need it: sudo chmod -R a+rX PATH; if it is private, leave it so",
            ),
        )


def _describe_closed(closed: Sequence[Path], directories: Sequence[Path]) -> Finding:
    """Return the finding; its fix opens `closed`, and what only root can read inside of it."""
    places = closed if len(closed) <= MOST_PATHS else _find_parents(closed, directories)
    return Finding(
        f"users cannot read {_format_names(closed)}",
        why="root made it with a umask that closes files to others, such as 0077",
        fix=format_repair(places),
    )


def _find_parents(closed: Sequence[Path], directories: Sequence[Path]) -> Sequence[Path]:
    """Return the directories, at most two levels down, that hold all of `closed`."""
    parents = set()
    for path in closed:
        (base,) = (directory for directory in directories if _is_in(path, [directory]))
        parents.add(base.joinpath(*path.relative_to(base).parts[:2]))
    return sorted(parents)


def _format_names(paths: Sequence[Path]) -> str:
    """Return the first paths, and how many there are in addition."""
    names = ", ".join(map(str, paths[:MOST_PATHS]))
    more = len(paths) - MOST_PATHS
    return f"{names} and {format_count(more, 'other')}" if more > 0 else names


def _is_in(path: Path, directories: Sequence[Path]) -> bool:
    return any(directory in (path, *path.parents) for directory in directories)


def find_distribution_version(host: HostReader, environment: Path, name: str) -> str | None:
    """Return the version of a Python distribution in an environment; None if it has none."""
    for library in host.listdir(environment / "lib"):
        for entry in host.listdir(environment / "lib" / library / "site-packages"):
            distribution, _, version = entry.removesuffix(".dist-info").partition("-")
            if distribution == name and entry.endswith(".dist-info"):
                return version
    return None


def check_singleuser(subject: CheckedMachine) -> Iterator[Result]:
    """Report a JupyterHub of the user environment that is not that of the hub.

    JupyterHub promises that hub and servers work together only within one minor version.
    """
    host, paths = subject.host, subject.paths
    if not subject.is_installed:
        return
    hub = find_distribution_version(host, paths.hub, "jupyterhub")
    user = find_distribution_version(host, paths.user, "jupyterhub")
    if hub is None or user is None or hub.split(".")[:2] == user.split(".")[:2]:
        return
    is_major = hub.split(".")[0] != user.split(".")[0]
    yield (
        Severity.DEGRADED if is_major else Severity.FINE,
        Finding(
            f"users' servers run JupyterHub {user}, the hub runs {hub}",
            where=Place(str(paths.user)),
            why="JupyterHub supports servers of its own version only; it was changed with conda "
            "or pip, or an upgrade kept it because of other packages",
            fix=_format_singleuser_fix(host, paths, hub),
        ),
    )


def _check_packages(subject: CheckedMachine) -> Iterator[Result]:
    """Compare the environment with the records of its packages, and what these need."""
    if not _has_environment(subject):
        return
    host, paths = subject.host, subject.paths
    problems = [
        *examine_files(host, paths, is_quick=False),
        *find_unmet_requirements(host, paths),
        *find_incompatible(host, paths),
    ]
    # What cannot be read is found by another check, wherever it is.
    for problem in problems:
        if problem.kind != "unreadable":
            yield problem.severity, problem.as_finding(paths.user)


def _check_named(subject: CheckedMachine) -> Iterator[Result]:
    """Compare named environments with the records of their packages."""
    yield from _examine_named(subject, is_quick=False)


def _check_named_quickly(subject: CheckedMachine) -> Iterator[Result]:
    yield from _examine_named(subject, is_quick=True)


def _examine_named(subject: CheckedMachine, *, is_quick: bool) -> Iterator[Result]:
    host, paths = subject.host, subject.paths
    for name in list_environments(host, paths) if subject.is_installed else ():
        named = paths.of_environment(name)
        problems = examine_files(host, named, is_quick=is_quick)
        serious = [problem for problem in problems if problem.severity is not Severity.FINE]
        if serious:
            whats = dict.fromkeys(problem.as_finding(named.user).what for problem in serious)
            yield (
                Severity.DEGRADED,
                Finding(
                    f"the environment {name} is damaged: {next(iter(whats))}",
                    where=Place(str(named.user)),
                    why="\n".join(list(whats)[1:MOST_PATHS]) or None,
                    fix=f"sudo tljh env repair --env {quote(name)}",
                ),
            )


def _check_packages_quickly(subject: CheckedMachine) -> Iterator[Result]:
    """Look for missing files and wrong owners; notes are left to doctor."""
    if not _has_environment(subject):
        return
    for problem in examine_files(subject.host, subject.paths, is_quick=True):
        if problem.severity is not Severity.FINE:
            yield problem.severity, problem.as_finding(subject.paths.user)


def _has_environment(subject: CheckedMachine) -> bool:
    has_records = subject.host.info(subject.paths.user / "conda-meta") is not None
    return subject.is_installed and has_records


CHECKS = (
    Check("readable files", _check_readable, is_quick=False),
    Check("single-user server", check_singleuser),
    Check("user environment", _check_packages, quick_look=_check_packages_quickly),
    Check("named environments", _check_named, quick_look=_check_named_quickly),
)


def _format_singleuser_fix(host: HostReader, paths: Paths, version: str) -> str:
    if is_adopted(host, paths):
        # There pip has installed it, and conda's solver would replace what pip put over its own.
        return f"sudo tljh env install --pip {quote(f'jupyterhub=={version}')}"
    return f"sudo tljh env install {quote(f'jupyterhub-singleuser=={version}')}"
