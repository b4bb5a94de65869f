"""Distributions of pip in an environment: what a change would do, and the change, both by uv."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tljh.conda.environment import normalize_name
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.prefix import find_distributions_without_record, read_prefix_records
from tljh.host.interface import DIES_WITH_US

TIMEOUT_S = 3600

# ` + six==1.17.0`, ` + six==1.17.0 (from file:///…)`, or ` + six @ file:///…` before uv has it in
# its cache.
_CHANGE = re.compile(r"^ ([+~-]) ([A-Za-z0-9._-]+)(?:==| @ )(\S+)", re.MULTILINE)

_WHEEL_VERSION = re.compile(r"/[^/-]+-([^/-]+)-[^/]+\.whl$")


def plan_pip(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row for each distribution that pip would install, change or remove.

    `shadowed` are the conda packages of which pip would replace the files.
    """
    prefix = Path(request["prefix"])
    records = read_prefix_records(prefix)
    from_pip = find_distributions_without_record(prefix, records)
    names = [read_name(spec) for spec in request["specs"]]
    command = [request["uv"], "pip"]
    if request["action"] == "remove":
        _check_removal(names, from_pip, {r.name.normalized for r in records}, request["protected"])
        output = run_uv([*command, "uninstall", "--dry-run", *_python(prefix), *names], "")
    else:
        upgrade = ["--upgrade"] if request["action"] == "update" else []
        specs = request["specs"] or sorted(from_pip)
        if not specs:
            return {"changes": [], "shadowed": [], "constraints": []}
        output = install(
            prefix, request["uv"], specs, request["constraints"], ["--dry-run", *upgrade]
        )
    changes = parse_changes(output)
    return {
        "changes": changes,
        "shadowed": _list_shadowed(changes, from_pip),
        # The change installs exactly these, whatever the index offers by then.
        "constraints": format_constraints(changes),
    }


def format_constraints(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return constraints that keep new distributions at their version, where it is known."""
    return [
        f"{row['name']}=={row['new']}" for row in changes if row["new"] and "/" not in row["new"]
    ]


def plan_installation(
    prefix: Path, uv: str, requirements: Sequence[str], constraints: Sequence[str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a row for each distribution that the texts of files change, and what is shadowed."""
    changes = parse_changes(install(prefix, uv, requirements, constraints, ["--dry-run"]))
    from_pip = find_distributions_without_record(prefix, read_prefix_records(prefix))
    return changes, _list_shadowed(changes, from_pip)


def _list_shadowed(changes: Iterable[Mapping[str, Any]], from_pip: Iterable[str]) -> list[str]:
    """Return the conda packages whose files pip would replace."""
    own = set(from_pip)
    return sorted(row["name"] for row in changes if row["old"] and row["name"] not in own)


def read_name(spec: str) -> str:
    """Return the canonical name of a requirement; the text itself for a path or a URL."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*($|[\[<>=!~;@( ])", spec)
    return normalize_name(match[1]) if match else spec


def _check_removal(
    names: Iterable[str],
    from_pip: Iterable[str],
    from_conda: Iterable[str],
    protected: Iterable[str],
) -> None:
    if needed := sorted(set(names) & set(protected)):
        what = f"{', '.join(needed)} cannot be removed"
        raise CondaProblem("protected", what, "servers of users need it")
    missing = sorted(set(names) - set(from_pip))
    if by_conda := [name for name in missing if name in set(from_conda)]:
        raise CondaProblem("from_conda", f"{', '.join(by_conda)} was installed by conda")
    if missing:
        raise CondaProblem("absent", f"{', '.join(missing)} is not installed")


def parse_changes(output: str) -> list[dict[str, Any]]:
    """Return a row for each change that uv lists; a version may be the URL where it is unknown."""
    old: dict[str, str] = {}
    new: dict[str, str] = {}
    for sign, name, version in _CHANGE.findall(output):
        versions = old if sign == "-" else new
        if wheel := _WHEEL_VERSION.search(version):
            version = wheel[1]
        versions[normalize_name(name)] = version
        if sign == "~":
            old[normalize_name(name)] = version
    return [
        {"name": name, "old": old.get(name), "new": new.get(name), "download": 0, "freed": 0}
        for name in sorted(old.keys() | new.keys())
    ]


def install(
    prefix: Path,
    uv: str,
    requirements: Sequence[str],
    constraints: Sequence[str],
    options: Sequence[str] = (),
) -> str:
    """Install requirements, each the text of a requirements file; return uv's output."""
    command = [uv, "pip", "install", "--no-progress", *options, *_python(prefix)]
    with TemporaryDirectory(prefix="tljh-pip-") as scratch:
        for number, text in enumerate(requirements):
            file = Path(scratch) / f"requirements-{number}.txt"
            file.write_text(f"{text}\n")
            command += ["-r", str(file)]
        limits = Path(scratch) / "constraints.txt"
        limits.write_text("".join(f"{line}\n" for line in constraints))
        command += ["-c", str(limits)]
        failure = "the pip requirements of the user environment could not be installed"
        return run_uv(add_index_options(command), failure)


def add_index_options(command: Sequence[str]) -> list[str]:
    """Return the command with the option for a variable that uv 0.13 ignores.

    It would ask pypi.org.
    """
    return [*command, *(["--no-index"] if os.environ.get("UV_NO_INDEX") else [])]


def uninstall(prefix: Path, uv: str, names: Sequence[str]) -> None:
    """Remove distributions that pip has installed."""
    command = [uv, "pip", "uninstall", "--quiet", *_python(prefix), *names]
    run_uv(command, "packages that pip had installed could not be removed")


def find_conflicts(prefix: Path, uv: str) -> list[str]:
    """Return a sentence for each requirement of an installed distribution that is not met."""
    # The exit code is 1 where there are some.
    output = run_uv([uv, "pip", "check", *_python(prefix)], None)
    return sorted(line for line in output.splitlines() if line.startswith("The package "))


def _python(prefix: Path) -> list[str]:
    return ["--python", str(prefix / "bin" / "python")]


def run_uv(argv: Sequence[str], failure: str | None) -> str:
    """Run uv and return its output; it takes its indexes from the environment.

    Raises CondaProblem with the text `failure` where uv fails; None accepts a failure.
    """
    # uv's lock of an environment is in the temporary directory, and every user may open it.
    with TemporaryDirectory(prefix="tljh-uv-") as scratch:
        done = subprocess.run(
            [*DIES_WITH_US, *argv],
            # With hard links into uv's cache, an edit here would damage the next installation.
            env={
                **os.environ,
                "UV_LINK_MODE": "copy",
                "UV_NO_CONFIG": "1",
                "NO_COLOR": "1",
                "TMPDIR": scratch,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode != 0 and failure is not None:
        last = "\n".join((done.stderr or done.stdout).strip().splitlines()[-12:])
        raise CondaProblem("pip", failure or "pip cannot do this", last)
    return done.stdout + done.stderr
