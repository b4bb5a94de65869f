"""`tljh env export` and `apply`: the user environment as a file, here and on other machines."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tljh.base.paths import get_paths
from tljh.commands.env_packages import DryRunOption, YesOption, change_as_planned
from tljh.commands.parameters import Argument, Option, Summary
from tljh.conda.declared_changes import ExportedEnvironment, Format
from tljh.host.real import RealHost
from tljh.operations import env_files as operations
from tljh.operations.installed_environment import read_sources


@dataclass(frozen=True)
class PrintedExport:
    """The text of the file; the exit code is 2 if it does not reproduce all packages."""

    name: Format
    exported: ExportedEnvironment

    @property
    def exit_code(self) -> int:
        return 2 if self.exported.warnings else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "format": self.name,
            "text": self.exported.text,
            "warnings": list(self.exported.warnings),
        }

    def as_text(self) -> str:
        return self.exported.text.rstrip("\n")


def export(
    *,
    format_name: Annotated[Format, Option("--format", "The kind of file.")] = "lock",
    as_json: bool = False,
) -> PrintedExport:
    """Print a file that reproduces the environment, with the hashes of all packages.

    The exit code is 2 if some package cannot be reproduced; the file says which.
    """
    exported = operations.export(RealHost(), get_paths(), format_name)
    if not as_json:
        for line in exported.warnings:
            print(f"not reproduced: {line}", file=sys.stderr)
    return PrintedExport(format_name, exported)


def apply(
    file: Annotated[str, Argument("FILE", "A lock, environment.yml or requirements.txt.")],
    *,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Make the environment as a file declares it: plan, ask, apply, check."""
    host, paths = RealHost(), get_paths()
    source = file if "://" in file else str(Path(file).absolute())
    sources = read_sources(host, paths)
    planned = operations.plan_file(host, paths, source, sources)
    return change_as_planned(planned, sources, dry_run=dry_run, yes=yes, as_json=as_json)
