"""Problems of the user environment's packages: asked from the worker, and put into words.

`tljh/conda/worker/examination.py` finds what differs from the records of conda and pip.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tljh.base.errors import Finding, Place
from tljh.base.findings import Severity
from tljh.base.paths import Paths
from tljh.base.progress import format_count
from tljh.conda.channels import build_package_environment
from tljh.conda.engine import build_worker_command, find_uv, parse_answer
from tljh.conda.environment import UserEnvironment, is_at_least, read_environment
from tljh.host.interface import HostReader

# A cold disk reads a large environment for minutes.
TIMEOUT_S = 1800

# A finding names this many files.
NAMED_PATHS = 3

REPAIR = "sudo tljh env repair"


@dataclass(frozen=True)
class KindOfProblem:
    """How a problem is put into words; what is in braces is filled in."""

    severity: Severity
    what: str
    fix: str | None = REPAIR


KINDS: Mapping[str, KindOfProblem] = {
    "missing": KindOfProblem(Severity.DEGRADED, "{package} lacks {count}"),
    "changed": KindOfProblem(Severity.DEGRADED, "{count} of {package} changed"),
    "edited": KindOfProblem(
        Severity.FINE,
        "{count} of settings of {package} changed",
        "if nobody meant to: sudo tljh env rollback",
    ),
    "owner": KindOfProblem(Severity.DEGRADED, "{count} of {package} do not belong to root"),
    "writable": KindOfProblem(Severity.DEGRADED, "users can write to {count} of {package}"),
    "unreadable": KindOfProblem(Severity.DEGRADED, "users cannot read {count} of {package}"),
    "mode": KindOfProblem(Severity.DEGRADED, "users cannot run {count} of {package}"),
    "record": KindOfProblem(Severity.DEGRADED, "conda has no usable record of {package}"),
    "metadata": KindOfProblem(
        Severity.DEGRADED, "the metadata of {package} disagrees with what is installed"
    ),
    "requirement": KindOfProblem(
        Severity.DEGRADED,
        "a requirement of a package is not met",
        "install what is missing, or another version: sudo tljh env install SPEC; "
        "or go back: sudo tljh env rollback",
    ),
    "incompatible": KindOfProblem(Severity.DEGRADED, "{package} does not work with the hub"),
    "shadowed": KindOfProblem(
        Severity.FINE,
        "pip shadows conda's {package}",
        "nothing, if that is on purpose; else: sudo tljh env update {package}",
    ),
    "lost": KindOfProblem(
        Severity.DEGRADED,
        "packages of pip were lost with an older Python",
        "install them again: sudo tljh env install --pip {names}",
    ),
    "leftover": KindOfProblem(
        Severity.FINE, "files of no installed package are in the environment", None
    ),
}


@dataclass(frozen=True)
class PackageProblem:
    """What is wrong with a package; `source` is conda or pip, `paths` are in the environment."""

    kind: str
    package: str
    source: str
    why: str = ""
    paths: tuple[str, ...] = ()
    own_fix: str | None = None

    @property
    def severity(self) -> Severity:
        return KINDS[self.kind].severity

    def as_finding(self, prefix: Path) -> Finding:
        """Return the problem in words, with the first of its files."""
        kind = KINDS[self.kind]
        owner = f"{self.source}'s {self.package}" if self.package else "no package"
        if self.kind == "shadowed":
            owner = self.package
        words = {"package": owner, "count": format_count(len(self.paths), "file")}
        fix = self.own_fix or kind.fix
        infos = (Path(path).name.removesuffix(".dist-info") for path in self.paths)
        names = shlex.join(name.rpartition("-")[0] for name in infos)
        return Finding(
            kind.what.format(**words),
            where=Place(str(prefix / self.paths[0])) if len(self.paths) == 1 else None,
            why=self._list_reasons(prefix) or None,
            fix=fix.format(package=shlex.quote(self.package), names=names) if fix else None,
        )

    def _list_reasons(self, prefix: Path) -> str:
        lines = [self.why] if self.why else []
        if len(self.paths) > 1:
            lines += [str(prefix / path) for path in self.paths[:NAMED_PATHS]]
            rest = len(self.paths) - NAMED_PATHS
            lines += [f"and {rest} more"] if rest > 0 else []
        return "\n".join(lines)


@dataclass(frozen=True)
class Examination:
    """The problems of an environment, and how much was looked at."""

    problems: tuple[PackageProblem, ...]
    packages: int
    files: int


def examine(host: HostReader, paths: Paths, *, is_quick: bool) -> Examination:
    """Compare the files of the environment with the records of its packages.

    With `is_quick`, no file is read: a changed one is found only if its size differs.
    """
    fields = {"operation": "examine", "prefix": str(paths.user), "is_quick": is_quick, "owner": 0}
    result = host.query(build_worker_command(), timeout_s=TIMEOUT_S, stdin=json.dumps(fields))
    answer = parse_answer(result, ())
    return Examination(_parse_problems(answer), answer["packages"], answer["files"])


def examine_files(host: HostReader, paths: Paths, *, is_quick: bool) -> tuple[PackageProblem, ...]:
    """Return the problems that `examine` finds."""
    return examine(host, paths, is_quick=is_quick).problems


def find_unmet_requirements(host: HostReader, paths: Paths) -> tuple[PackageProblem, ...]:
    """Return a problem for each requirement of an installed package that is not met."""
    fields = {"operation": "find_unmet", "prefix": str(paths.user), "uv": find_uv()}
    variables = build_package_environment(host, paths, os.environ)
    text = json.dumps(fields)
    result = host.query(build_worker_command(), timeout_s=TIMEOUT_S, env=variables, stdin=text)
    return _parse_problems(parse_answer(result, ()))


def _parse_problems(answer: Mapping[str, Any]) -> tuple[PackageProblem, ...]:
    return tuple(
        PackageProblem(**{**row, "paths": tuple(row["paths"])}) for row in answer["problems"]
    )


@dataclass(frozen=True)
class Incompatibility:
    """A distribution that is known to break users' servers below a version, or in every one."""

    name: str
    why: str
    fix: str
    below: str | None = None

    def applies_to(self, version: str) -> bool:
        return self.below is None or not is_at_least(version, self.below)


INCOMPATIBILITIES = (
    Incompatibility(
        "jupyter-server",
        "JupyterHub starts a server as an extension of Jupyter Server 2 and newer",
        "sudo tljh env install 'jupyter_server>=2'",
        below="2",
    ),
    Incompatibility(
        "jupyterlab",
        "its extension for JupyterHub came with version 3",
        "sudo tljh env install 'jupyterlab>=3'",
        below="3",
    ),
    Incompatibility(
        "nbserverproxy",
        "it loads in the classic notebook server only; jupyter-server-proxy is its successor",
        "sudo tljh env remove --pip nbserverproxy",
    ),
)


def find_incompatible(host: HostReader, paths: Paths) -> tuple[PackageProblem, ...]:
    """Return a problem for each distribution that is known not to work with the hub."""
    environment = read_environment(host, paths.user) or UserEnvironment()
    problems = []
    for entry in INCOMPATIBILITIES:
        version = environment.distributions.get(entry.name)
        if version is not None and entry.applies_to(version):
            source = "conda" if entry.name in environment.conda else "pip"
            why = f"version {version}: {entry.why}"
            problems.append(
                PackageProblem("incompatible", entry.name, source, why, own_fix=entry.fix)
            )
    return tuple(problems)
