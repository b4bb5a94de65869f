"""Mistakes in config.yaml and in the files that it names: one list for `check` and `reload`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tljh.base.errors import TljhError
from tljh.base.paths import Paths
from tljh.home_snapshots.problems import find_snapshot_problems
from tljh.host.interface import HostReader
from tljh.operations.installed_config import examine_configuration
from tljh.operations.jupyter_problems import find_jupyter_problems
from tljh.operations.oversized_limits import find_oversized_limits
from tljh.operations.referenced_files import find_referenced_file_problems
from tljh.services.programs import find_program_problems

if TYPE_CHECKING:
    from tljh.settings.declaration import Problem
    from tljh.settings.root import Config
    from tljh.settings.validation import ExaminedFile


def add_file_problems(examined: ExaminedFile[Config], host: HostReader, paths: Paths) -> None:
    """Add problems of the files that config.yaml names to the problems of its settings."""
    config = examined.config
    wrong = {problem.path for problem in examined.problems}
    examined.problems += [
        problem if _is_in_effect(problem, config) else replace(problem, severity="warning")
        for problem in find_referenced_file_problems(config, host, served_from=paths)
        if problem.path not in wrong
    ]
    examined.problems += find_oversized_limits(config, host)
    examined.problems += find_snapshot_problems(config, host)
    examined.problems += find_jupyter_problems(config, host, paths)
    examined.problems += [
        problem
        for problem in find_program_problems(config, host, paths)
        if problem.path not in wrong
    ]


def _is_in_effect(problem: Problem, config: Config) -> bool:
    """Return whether a reload would use the file of a problem.

    The files of an HTTPS mode that is switched off are not used.
    """
    if problem.path[0] != "https":
        return True
    return config.https.effective_mode == problem.path[1]


def load_for_change(
    host: HostReader, paths: Paths, data: bytes, environment: Path | None = None
) -> Config:
    """Parse and check config.yaml and its files, for a change of the machine.

    Raises TljhError with every finding.
    """
    examined = examine_configuration(host, paths, data, environment)
    add_file_problems(examined, host, paths)
    findings = examined.findings("error", "incomplete")
    if findings:
        raise TljhError(findings)
    return examined.config
