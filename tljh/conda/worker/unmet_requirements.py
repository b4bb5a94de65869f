"""Requirements of installed packages that no other package meets: conda's, and pip's by uv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rattler import MatchSpec, PrefixRecord

from tljh.conda.worker import pip_changes
from tljh.conda.worker.events import CondaProblem
from tljh.conda.worker.prefix import read_prefix_records
from tljh.conda.worker.record_problems import PackageDefect


def find_unmet(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a problem for each requirement that is not met."""
    prefix = Path(request["prefix"])
    problems = []
    try:
        problems += _find_unmet_depends(read_prefix_records(prefix))
    except Exception as error:
        # A damaged record, which the examination of the files names.
        problems.append(PackageDefect("requirement", "", "conda", f"conda's records: {error}"))
    try:
        conflicts = pip_changes.find_conflicts(prefix, request["uv"])
    except (CondaProblem, OSError) as error:
        problems.append(
            PackageDefect("requirement", "", "pip", f"they cannot be compared: {error}")
        )
    else:
        problems += [PackageDefect("requirement", "", "pip", line) for line in conflicts]
    return {"problems": [vars(problem) for problem in problems]}


def _find_unmet_depends(records: Sequence[PrefixRecord]) -> list[PackageDefect]:
    """Return what conda's records need and no other one is; virtual packages are left out."""
    by_name = {record.name.normalized: record for record in records}
    problems = []
    for record in records:
        for text in record.depends:
            spec = MatchSpec(text)
            name = str(getattr(spec.name, "normalized", spec.name))
            if name.startswith("__"):
                continue
            other = by_name.get(name)
            if other is None or not spec.matches(other):
                actual = f"{other.version} {other.build}" if other else "not installed"
                why = f"{record.name.normalized} needs {text}, and {name} is {actual}"
                problems.append(PackageDefect("requirement", record.name.normalized, "conda", why))
    return problems
