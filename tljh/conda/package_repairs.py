"""The user environment with its packages repaired, as a resource of the engine.

`tljh/conda/worker/repair.py` does it, in a copy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from tljh.base.paths import Paths
from tljh.base.progress import Progress
from tljh.conda import engine
from tljh.conda.channels import build_package_environment, get_channel_url
from tljh.conda.engine import (
    APPLY_TIMEOUT_S,
    build_worker_command,
    find_uv,
    make_line_reader,
    parse_answer,
)
from tljh.conda.environment import UserEnvironment, read_environment
from tljh.conda.package_problems import PackageProblem
from tljh.conda.resource import find_next_number
from tljh.conda.snapshot_requests import lock_environment
from tljh.engine.resource import Difference, Record, Resource, RollbackMethod, Stage
from tljh.host.interface import Host, HostReader

# What files, records and modes can be repaired of; the rest is a matter of other versions.
REPAIRED_KINDS = (
    *("missing", "changed", "owner", "writable", "unreadable", "mode", "record", "metadata"),
    "leftover",
)


def select_repairable(problems: Sequence[PackageProblem]) -> tuple[PackageProblem, ...]:
    """Return the problems that a repair may solve."""
    return tuple(problem for problem in problems if problem.kind in REPAIRED_KINDS)


@dataclass(frozen=True)
class EnvironmentRepaired(Resource):
    """The user environment with what its packages' records have; `done` lists the repairs."""

    paths: Paths
    channels: tuple[str, ...]
    problems: tuple[PackageProblem, ...]
    done: list[str] = field(default_factory=list, compare=False)

    kind: ClassVar[str] = "repaired-environment"
    stage: ClassVar[Stage] = Stage.ENVIRONMENTS
    rollback: ClassVar[RollbackMethod] = RollbackMethod.SNAPSHOT

    @property
    def name(self) -> str:
        return str(self.paths.user)

    def difference(self, host: HostReader) -> Difference | None:
        lines = tuple(p.as_finding(self.paths.user).what for p in self.problems)
        return Difference("~", "repair", lines) if lines else None

    def before(self, host: HostReader) -> Record:
        return {"prefix": str(self.paths.user), "other": str(self._other(host)), "existed": True}

    def apply(self, host: Host, progress: Progress) -> None:
        variables = build_package_environment(host, self.paths, os.environ)
        cache = Path(variables.get("RATTLER_CACHE_DIR") or self.paths.package_cache)
        fields = {
            "operation": "repair",
            "prefix": str(self.paths.user),
            "other": str(self._other(host)),
            "versions": str(self.paths.versions),
            "cache": str(cache) if host.info(cache / "pkgs") is not None else None,
            "channels": [get_channel_url(channel) for channel in self.channels],
            "uv": find_uv(),
            "owner": 0,
        }
        with lock_environment(host, self.paths):
            result = host.run(
                build_worker_command(),
                timeout_s=APPLY_TIMEOUT_S,
                env=variables,
                stdin=json.dumps(fields),
                on_line=make_line_reader(progress),
            )
            self.done.extend(parse_answer(result, self.channels)["repaired"])

    def _other(self, host: HostReader) -> Path:
        environment = read_environment(host, self.paths.user) or UserEnvironment()
        return self.paths.replaced_user(find_next_number(host, self.paths, environment))

    @classmethod
    def revert(cls, host: Host, record: Record) -> None:
        engine.revert(host, record)
