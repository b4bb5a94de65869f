"""Changes that a file declares, and files of the environment: `tljh env apply` and `export`.

`tljh/conda/worker/declared_plans.py` and `environment_export.py` do the work.
"""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.conda.channels import get_channel_url, redact_channel
from tljh.conda.declared_environment import DeclaredEnvironment, parse
from tljh.conda.engine import SOLVE_MEMORY_BYTES, ask_worker, find_uv
from tljh.conda.environment import (
    RequiredPackage,
    UserEnvironment,
    find_missing_packages,
    normalize_name,
    read_environment,
)
from tljh.conda.package_changes import (
    PackageChange,
    PackagePlan,
    list_constraints,
    list_pip_constraints,
    list_protected,
)
from tljh.conda.requirements import expand_references, read_text
from tljh.host.interface import HostReader

Format = Literal["lock", "environment.yml", "requirements"]

# What conda calls a machine, by what Linux calls it.
SUBDIRS = {"x86_64": "linux-64", "amd64": "linux-64", "arm64": "linux-aarch64"}

# Names of channels that stand for no channel here.
NO_CHANNELS = ("nodefaults", "defaults", "local")


@dataclass(frozen=True)
class ExportedEnvironment:
    """The text of a file, and a sentence for each package that it does not reproduce."""

    text: str
    warnings: tuple[str, ...]


def export(host: HostReader, paths: Paths, name: Format) -> ExportedEnvironment:
    """Return the environment as a file; the hashes of pip's packages come from the index."""
    fields = {
        "operation": "export",
        "prefix": str(paths.user),
        "format": name,
        "uv": find_uv(),
    }
    answer = ask_worker(host, paths, fields, ())
    return ExportedEnvironment(answer["text"], tuple(answer["warnings"]))


def plan_file(
    host: HostReader,
    paths: Paths,
    source: str,
    channels: Sequence[str],
    required: Sequence[RequiredPackage],
) -> PackagePlan:
    """Return the changes that lead to what a file at a path or URL declares. Raises TljhError."""
    declared = parse_file(host, source)
    more = find_more_channels(declared.channels, channels)
    environment = read_environment(host, paths.user) or UserEnvironment()
    used = [*channels, *more]
    fields = {
        "operation": "plan_declared",
        "prefix": str(paths.user),
        "directory": str(Path(source.removeprefix("file://")).absolute().parent),
        "channels": [get_channel_url(channel) for channel in used],
        "is_exact": declared.is_exact,
        "specs": [strip_channel(spec, channels) for spec in declared.specs],
        "archives": [vars(archive) for archive in declared.archives],
        "lock": declared.lock,
        "requirements": list(declared.requirements),
        "constraints": list_constraints(environment, required),
        "pip_constraints": list(list_pip_constraints(required)),
        "protected": list_protected(required),
        "uv": find_uv(),
        "memory_cap_bytes": SOLVE_MEMORY_BYTES,
    }
    answer = ask_worker(host, paths, fields, used)
    if declared.is_exact:
        _check_required(source, answer, required)
    return _make_plan(declared, fields["specs"], environment, answer, source, used, more)


def parse_file(host: HostReader, source: str) -> DeclaredEnvironment:
    """Return what a file at a path or URL declares for this machine. Raises TljhError."""
    text, make_absolute = read_text(host, source, "file")
    machine = platform.machine()
    subdir = SUBDIRS.get(machine, f"linux-{machine}")
    declared = parse(text, source, subdir, make_absolute)
    return replace(declared, requirements=expand_references(host, declared.requirements, source))


def _make_plan(
    declared: DeclaredEnvironment,
    specs: Any,
    environment: UserEnvironment,
    answer: Mapping[str, Any],
    source: str,
    used: Sequence[str],
    more: Sequence[str],
) -> PackagePlan:
    changes = tuple(PackageChange(**row) for row in answer["changes"])
    notes = [f"in addition to the configured channels: {', '.join(more)}"] if more else []
    lists: dict[str, Any] = {
        name: tuple(answer.get(name, ()))
        for name in (
            *("requirements", "constraints", "removed", "uninstall"),
            *("replaced_from_pip", "reinstall", "shadowed"),
        )
    }
    return PackagePlan(
        shlex.join(["env", "apply", source]),
        environment,
        changes,
        answer["lock"],
        specs=tuple(answer.get("specs", specs) if answer["lock"] else ()),
        notes=tuple(notes),
        channels=tuple(used),
        is_complete=declared.is_exact,
        **lists,
    )


def _check_required(
    source: str, answer: Mapping[str, Any], required: Sequence[RequiredPackage]
) -> None:
    """Raise TljhError where an environment of exactly these packages has no server for users."""
    conda = answer["conda_versions"]
    distributions = {**conda, **answer["pip_versions"]}
    desired = UserEnvironment(
        conda, {normalize_name(name): version for name, version in distributions.items()}
    )
    missing = find_missing_packages(desired, required)
    if missing:
        names = ", ".join(package.spec for package in missing)
        raise TljhError(
            f"the environment of {source} has no {names}",
            why="a lock declares all packages, and the servers of users need these",
            fix="add them where the lock was made, and lock again; or install its packages in "
            "addition to those that are there, from an environment.yml or requirements.txt",
        )


def find_more_channels(declared: Sequence[str], configured: Sequence[str]) -> list[str]:
    """Return the channels of a file that are neither configured nor mirrored by a configured one.

    A channel is taken for a mirror by the last part of its path, such as conda-forge.
    """
    names = {get_channel_name(channel) for channel in configured}
    return [
        channel
        for channel in declared
        if channel not in NO_CHANNELS and get_channel_name(channel) not in names
    ]


def get_channel_name(channel: str) -> str:
    """Return the last part of a channel's path, which its mirrors share."""
    return redact_channel(channel).rstrip("/").rpartition("/")[2]


def strip_channel(spec: str, configured: Sequence[str]) -> str:
    """Return a spec without its channel where a configured one, perhaps a mirror, is meant."""
    channel, separator, rest = spec.rpartition("::")
    if not separator:
        return spec
    names = {get_channel_name(name) for name in configured}
    # conda writes `conda-forge/linux-64::numpy`, too.
    name = get_channel_name(re.sub(r"/(linux-[^/]+|noarch)$", "", channel))
    return rest if name in {*names, *NO_CHANNELS} else spec
