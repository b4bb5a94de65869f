"""`tljh env export` and `apply`: the user environment as a file, here and on other machines."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Annotated, Any

from tljh.commands.chosen_environment import EnvOption, choose_environment
from tljh.commands.env_packages import Answers, DryRunOption, YesOption, apply_file
from tljh.commands.parameters import Argument, Option, Summary
from tljh.conda.declared_changes import ExportedEnvironment, Format
from tljh.host.real import RealHost
from tljh.operations import env_files as operations


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
    env: EnvOption = "",
    as_json: bool = False,
) -> PrintedExport:
    """Print a file that reproduces the environment, with the hashes of all packages.

    The exit code is 2 if some package cannot be reproduced; the file says which.
    """
    with choose_environment(env) as paths:
        exported = operations.export(RealHost(), paths, format_name)
    if not as_json:
        for line in exported.warnings:
            print(f"not reproduced: {line}", file=sys.stderr)
    return PrintedExport(format_name, exported)


def apply(
    file: Annotated[str, Argument("FILE", "A lock, environment.yml or requirements.txt.")],
    *,
    env: EnvOption = "",
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    as_json: bool = False,
) -> Summary:
    """Make the environment as a file declares it: plan, ask, apply, check."""
    return apply_file(file, Answers(env, dry_run, yes, as_json))
